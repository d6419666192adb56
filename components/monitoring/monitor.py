"""Looks at what was asked and at today's gallery, and says what is no longer as it was.

It reads and writes files only. Who is told of the result is decided elsewhere (ops/monitoring.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from components import config
from components.monitoring import drift, journal
from components.monitoring.answers import agreed, errors, latency, of_answers, precision
from components.monitoring.feedback import Judged, Marks
from components.monitoring.figures import Figure
from components.monitoring.gallery import ages, of_gallery
from components.monitoring.report import Report
from components.monitoring.seen import Seen
from components.monitoring.tally import Day, Tally, tally, total

SHOWN = 20  # queries of each list
_BINS = 40  # of the histogram of the similarity to the nearest training text


def monitor(params: config.Params, seen: Seen) -> tuple[Report, list[Judged]]:
    """The report on the last ``monitor.days`` days, and the marks that people gave in them.

    Its cost is that of one pass over the logs, and of embedding ``monitor.max_queries`` texts.
    """
    limits = params.monitor
    since = seen.now.date() - timedelta(days=limits.days - 1)
    passed = journal.Passed()
    marks = Marks.of(journal.marked(seen.folder, since, passed))
    answers = marks.beside(journal.answered(seen.folder, since, passed))
    found = tally(answers, limits.max_queries, limits.seed)
    whole, judged = total(found.days.values()), marks.last()
    compared = _queries(limits, seen, found, whole.queries)
    report = Report(
        time=seen.now,
        since=since,
        champion=seen.champion,
        figures=[
            *of_answers(limits, whole, found),
            *latency(limits, whole),
            errors(limits, seen, since),
            *compared.figures,
            precision(limits, judged),
            *agreed(params, seen),
            *of_gallery(limits, seen),
            *ages(limits, seen),
        ],
        days={day: found.days.get(day, Day()) for day in _days(since, limits.days)},
        nothing=found.nothing.most_common(SHOWN),
        strangers=compared.strangers,
        nearest=compared.nearest,
        cut=compared.cut,
        strange_by_day=compared.by_day,
        notes=_notes(params, found, passed, seen),
    )
    return report, judged


class _Compared(NamedTuple):
    """The queries against the training texts, as :class:`Report` has them."""

    figures: list[Figure]
    strangers: Sequence[tuple[str, int]] = ()
    nearest: Sequence[tuple[float, float]] = ()
    cut: float | None = None
    by_day: Mapping[date, float] = MappingProxyType({})


def _days(since: date, count: int) -> Iterator[date]:
    return (since + timedelta(days=n) for n in range(count))


def _notes(params: config.Params, found: Tally, passed: journal.Passed, seen: Seen) -> list[str]:
    notes = []
    if not params.serve.journal_days:
        notes.append("The logs of queries and feedback are off (`serve.journal_days` is 0).")
    elif params.serve.journal_days < params.monitor.days:
        notes.append(
            f"The logs are kept for {params.serve.journal_days} days (`serve.journal_days`), fewer"
            f" than the {params.monitor.days} of `monitor.days`."
        )
    if passed.count:
        notes.append(f"{passed.count} lines of the logs are damaged and were passed over.")
    if seen.features is None:
        notes.append("There are no features of today's gallery here, so it is not compared.")
    if seen.embed is None:
        notes.append("The champion's text encoder is not here, so queries are not compared.")
    if found.sample.distinct > len(found.sample.counts):
        notes.append(
            f"Of about {found.sample.distinct:,} distinct queries, a sample of"
            f" {len(found.sample.counts):,} is compared (`monitor.max_queries`)."
        )
    return notes


def _queries(limits: config.Monitor, seen: Seen, found: Tally, asked: int) -> _Compared:
    """How far the queries are from the training texts. Nothing is embedded where nothing could be
    concluded."""
    texts = list(found.sample.counts)
    categories = seen.bundle.categories["category"].tolist()
    known = drift.training_texts(categories, limits.max_queries, limits.seed)
    figure = Figure(
        "strangers",
        "the share of queries that are unlike every training text",
        None,
        "monitor.max_strangers",
        limits.max_strangers,
        count=asked,
        least=limits.min_queries,
        remedy="read them on the page, add pictures of what people want to the inbox, and retrain",
        retrain=True,
    )
    if seen.embed is None or not texts or len(known) < 2 or asked < limits.min_queries:
        return _Compared([figure])
    counts = np.array([found.sample.counts[text].total() for text in texts], dtype=np.float64)
    vectors, training = seen.embed(texts), seen.embed(known)
    strange = drift.strangers(vectors, counts, training, limits.seed)
    value, low, high = strange.share
    auc = Figure(
        "query_auc",
        "the AUC of a classifier of queries against training texts",
        drift.separation(training, vectors, limits.seed, counts),
        kind="number",
    )
    shares, edges = np.histogram(
        strange.nearest.clip(0, 1), _BINS, (0, 1), weights=counts / counts.sum()
    )
    order = np.argsort(-counts, kind="stable")
    far = [i for i in order if strange.nearest[i] < strange.cut][:SHOWN]
    return _Compared(
        [replace(figure, value=value, low=low, high=high), auc],
        [(texts[i], int(counts[i])) for i in far],
        list(zip(edges[:-1].tolist(), shares.tolist(), strict=True)),
        strange.cut,
        _by_day(found, [texts[i] for i in np.flatnonzero(strange.nearest < strange.cut)]),
    )


def _by_day(found: Tally, strange: list[str]) -> dict[date, float]:
    """The share of the sampled queries of each day that is one of ``strange``."""
    counts, all_of, some_of = found.sample.counts, Counter[date](), Counter[date]()
    for days in counts.values():
        all_of.update(days)
    for text in strange:
        some_of.update(counts[text])
    return {day: some_of[day] / count for day, count in sorted(all_of.items())}
