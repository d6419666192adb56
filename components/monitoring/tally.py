"""One pass over the logs: counts for each day, and a sample of the distinct queries.

Its memory does not grow with the logs. Distinct queries are sampled by their hash: those with the
smallest ones are kept, with exact counts (bottom-k sampling: Cohen and Kaplan, "Summarizing data
using bottom-k sketches", PODC 2007). Latencies are counted in steps of 2 %.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from components import names
from components.monitoring.journal import Answered

BINS = 20  # of the histogram of the confidence
_STEP = 1.02
_TEXTS = 20_000  # texts without a relevant picture that are counted at once
_KEPT = 500  # characters of a query; the service refuses longer ones


@dataclass
class Day:
    """What the answers of one day were like. ``latency`` counts steps of 2 %."""

    queries: int = 0
    known: int = 0
    text_only: int = 0
    irrelevant: int = 0
    unknown: int = 0
    truncated: int = 0
    degraded: Counter[str] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    confidence: list[int] = field(default_factory=lambda: [0] * BINS)

    def add(self, one: Answered) -> None:
        """Count one answer."""
        self.queries += 1
        self.known += one.known
        self.text_only += one.mode == "text"
        self.irrelevant += not one.relevant
        self.unknown += one.unknown_words > 0
        self.truncated += one.truncated
        if one.degraded is not None:
            self.degraded[one.degraded[:40]] += 1
        self.latency[round(math.log(max(one.ms, 0.01), _STEP))] += 1
        self.confidence[min(int(one.confidence * BINS), BINS - 1)] += 1

    def as_json(self) -> dict[str, Any]:
        """The counts, with the latency as quantiles in milliseconds."""
        latency = {f"p{q}": self.milliseconds(q / 100) for q in (50, 95)}
        return vars(self) | {"degraded": dict(self.degraded), "latency": latency}

    def milliseconds(self, quantile: float) -> float | None:
        """A quantile of the latency, exact to 1 %. ``None`` without answers."""
        wanted, passed = quantile * self.queries, 0
        for step in sorted(self.latency):
            passed += self.latency[step]
            if passed >= wanted:
                return round(_STEP**step, 1)
        return None


def total(days: Iterable[Day]) -> Day:
    """All days as one."""
    whole = Day()
    for day in days:
        for name in ("queries", "known", "text_only", "irrelevant", "unknown", "truncated"):
            setattr(whole, name, getattr(whole, name) + getattr(day, name))
        whole.degraded += day.degraded
        whole.latency += day.latency
        whole.confidence = [a + b for a, b in zip(whole.confidence, day.confidence, strict=True)]
    return whole


class Sample:
    """Up to ``most`` distinct queries, each equally likely, with their counts for each day."""

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._seed = most, seed.to_bytes(8)
        self._heap: list[tuple[int, str]] = []  # the largest hash first
        self.counts: dict[str, Counter[date]] = {}

    def add(self, text: str, day: date) -> None:
        """Count one query of a day, if it belongs to the sample."""
        if text in self.counts:
            self.counts[text][day] += 1
            return
        digest = hashlib.blake2b(text.encode(), digest_size=8, key=self._seed).digest()
        entry = (-int.from_bytes(digest), text)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            _, gone = heapq.heapreplace(self._heap, entry)
            del self.counts[gone]
        else:
            return
        self.counts[text] = Counter({day: 1})

    @property
    def distinct(self) -> int:
        """How many distinct queries there were: an estimate once the sample is full."""
        if len(self._heap) < self._most:
            return len(self._heap)
        return round((self._most - 1) * 2**64 / -self._heap[0][0])


@dataclass
class Tally:
    """The days with answers, the sample of queries, and the texts that found nothing relevant."""

    sample: Sample
    days: dict[date, Day] = field(default_factory=dict)
    nothing: Counter[str] = field(default_factory=Counter)

    def add(self, one: Answered) -> None:
        """Count one answer."""
        text = names.query_text(one.query)[:_KEPT]
        self.days.setdefault(one.time.date(), Day()).add(one)
        if text:
            self.sample.add(text, one.time.date())
        if text and not one.relevant:
            self.nothing[text] += 1
            if len(self.nothing) > _TEXTS:  # rare ones are forgotten: only frequent ones are shown
                self.nothing = Counter(dict(self.nothing.most_common(_TEXTS // 2)))


def tally(answers: Iterable[Answered], most: int, seed: int) -> Tally:
    """Count ``answers``, and sample ``most`` of their distinct texts."""
    found = Tally(Sample(most, seed))
    for one in answers:
        found.add(one)
    return found
