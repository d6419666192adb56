"""The figures of the answers: how many were short of something, how long they took, how many were
wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date

import numpy as np

from components import config
from components.monitoring import journal
from components.monitoring.agreement import agreement
from components.monitoring.feedback import Judged
from components.monitoring.figures import Figure
from components.monitoring.seen import Seen
from components.monitoring.shares import share
from components.monitoring.tally import Day, Tally


def of_answers(limits: config.Monitor, whole: Day, found: Tally) -> Iterator[Figure]:
    """The figures that the counts of all answers give."""
    count, least = whole.queries, limits.min_queries

    def part(
        name: str, label: str, of: int, limit: float | None = None, remedy: str = ""
    ) -> Figure:
        setting = "" if limit is None else f"monitor.max_{name}"
        value = of / count if count else None
        return Figure(name, label, value, setting, limit, count=count, least=least, remedy=remedy)

    yield Figure("queries", "the number of queries", count, kind="number")
    yield Figure("distinct", "the number of distinct queries", found.sample.distinct, kind="number")
    yield part("known", "the share of queries that name a category", whole.known)
    yield part(
        "irrelevant",
        "the share of queries for which nothing seemed to fit",
        whole.irrelevant,
        limits.max_irrelevant,
        "read these queries on the page, and add pictures of what people want to the inbox",
    )
    yield part(
        "text_only",
        "the share of queries ranked by text alone",
        whole.text_only,
        limits.max_text_only,
        "see whether callers ask for that, and otherwise why the imaginer gave no pictures",
    )
    degraded = sum(whole.degraded.values())
    why = ", ".join(f"{reason} {times}" for reason, times in whole.degraded.most_common(3))
    yield part(
        "degraded",
        "the share of queries that did without imagined pictures",
        degraded,
        limits.max_degraded,
        f"the reasons are: {why}; docs/operations.md has what to do, and the endpoint's log more",
    )
    yield part(
        "unknown",
        "the share of queries with words that the text encoder does not know",
        whole.unknown,
        limits.max_unknown,
        "read these queries on the page: they may need another text encoder",
    )
    yield part(
        "truncated",
        "the share of queries that are too long for the text encoder",
        whole.truncated,
        limits.max_truncated,
        "tell callers to ask with fewer words",
    )


def latency(limits: config.Monitor, whole: Day) -> Iterator[Figure]:
    """How long the answers took."""
    for name, quantile, limit in (("p50", 0.5, None), ("p95", 0.95, limits.max_seconds)):
        took = whole.milliseconds(quantile)
        yield Figure(
            f"latency_{name}",
            f"the time within which {quantile * 100:.0f} % of the answers came",
            None if took is None else took / 1000,
            "monitor.max_seconds" if limit else "",
            limit,
            kind="seconds",
            count=whole.queries,
            least=limits.min_queries,
            remedy="see the panel of the steps in Grafana, and add processes that draw",
        )


def errors(limits: config.Monitor, seen: Seen, since: date) -> Figure:
    statuses = Counter(status >= 500 for _, status in journal.statuses(seen.logs, since))
    count = statuses.total()
    return Figure(
        "errors",
        "the share of searches that failed",
        statuses[True] / count if count else None,
        "monitor.max_errors",
        limits.max_errors,
        count=count,
        least=limits.min_queries,
        remedy="the logs of the Bentos and of the proxy have each of them",
        note="" if count else "the endpoint's logs have no searches",
    )


def precision(limits: config.Monitor, judged: list[Judged]) -> Figure:
    """How many of the judged first hits are right, with an interval over queries."""
    right: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    for one in judged:
        if one.rank is not None:
            marked[one.query] += 1
            right[one.query] += one.right
    whole = np.array(list(marked.values()), dtype=np.float64)
    found = share(np.array([right[q] for q in marked]), whole, limits.seed) if marked else None
    return Figure(
        "precision",
        "the share of the judged first hits that is right",
        found and found.value,
        "monitor.min_precision",
        limits.min_precision,
        "below",
        low=found and found.low,
        high=found and found.high,
        count=marked.total(),
        least=limits.min_marks,
        retrain=True,
        remedy="look at what was marked as wrong, add pictures of these categories, and retrain",
    )


def agreed(params: config.Params, seen: Seen) -> Iterator[Figure]:
    """How far the champion agrees with all marks that were kept, if there are any."""
    if seen.ranker is None or seen.marks is None or seen.marks.empty:
        return
    found = agreement(
        seen.marks,
        seen.ranker.scores(seen.marks),
        params.evaluate.bootstrap,
        params.monitor.seed,
        params.evaluate.min_categories,
    )
    low, high = found.pairs.interval() or (None, None)
    yield Figure(
        "agreement",
        "how often the champion ranks a right picture above a wrong one, by the kept marks",
        found.pairs.mean if found.queries else None,
        low=low,
        high=high,
        count=found.marks,
        note="no query has both right and wrong marks",
    )
