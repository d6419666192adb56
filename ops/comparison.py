"""How a challenger's answers compare with those of the live Bento. Pure functions of what was seen.

The overlap of two answers is the share of their first hits that both have, whatever the order.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components import config

HITS = 10  # of an answer, that are compared


@dataclass(frozen=True)
class Reply:
    """What matters of an answer to a search. ``status`` 0 is none at all; ``ms`` are
    milliseconds."""

    status: int
    ms: float
    hits: tuple[str, ...] = ()
    degraded: str | None = None
    confidence: float | None = None

    @classmethod
    def of(cls, status: int, body: bytes, ms: float) -> Reply:
        """The reply with this ``body``. One that cannot be read counts as an error."""
        if status != 200:
            return cls(status, ms)
        try:
            answer = json.loads(body)
            hits = tuple(hit["id"] for hit in answer["hits"][:HITS])
            return cls(status, ms, hits, answer["degraded"], answer["confidence"])
        except (ValueError, KeyError, TypeError):
            return cls(0, ms)

    def told(self) -> dict[str, Any]:
        """What is recorded of it."""
        told = {"status": self.status, "ms": round(self.ms, 1), "degraded": self.degraded}
        return told | {"confidence": self.confidence}


@dataclass(frozen=True)
class Seen:
    """One comparison. ``overlap`` is ``None`` unless both answered."""

    champion: Mapping[str, Any]
    challenger: Mapping[str, Any]
    overlap: float | None


def overlap(one: Sequence[str], other: Sequence[str]) -> float | None:
    """The share of the first hits that both have; ``None`` where one has none."""
    if not one or not other:
        return None
    return len(set(one) & set(other)) / max(len(one), len(other))


def summary(seen: Sequence[Seen]) -> dict[str, Any]:
    """The figures of comparisons: their number, the mean ``overlap``, and ``latency_ratio``, the
    challenger's 95th percentile of time in times of the champion's. Of each side: the share of
    ``errors``, the share of ``degraded`` answers, the mean ``confidence``, and the 50th and 95th
    percentile of milliseconds. ``None`` is what cannot be known.

    A request that both refuse in the same way is no error.
    """
    overlaps = [one.overlap for one in seen if one.overlap is not None]
    champion = _side([(one.champion, one.challenger) for one in seen])
    challenger = _side([(one.challenger, one.champion) for one in seen])
    times = challenger["p95_ms"], champion["p95_ms"]
    return {
        "compared": len(seen),
        "overlap": statistics.fmean(overlaps) if overlaps else None,
        "latency_ratio": None if None in times else times[0] / max(times[1], 0.1),
        "champion": champion,
        "challenger": challenger,
    }


def _side(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    """The figures of one side, given its replies and those of the other."""
    wrong = [a for a, b in pairs if a["status"] != 200 and a["status"] != b["status"]]
    fine = [a for a, _ in pairs if a["status"] == 200]
    p50, p95 = np.percentile([a["ms"] for a in fine], [50, 95]) if fine else (None, None)
    return {
        "errors": len(wrong) / max(1, len(pairs)),
        "degraded": sum(a["degraded"] is not None for a in fine) / max(1, len(fine)),
        "confidence": statistics.fmean(a["confidence"] for a in fine) if fine else None,
        "p50_ms": None if p50 is None else float(p50),
        "p95_ms": None if p95 is None else float(p95),
    }


def objection(seen: Sequence[Seen], limits: config.Canary) -> str | None:
    """Why the challenger is withdrawn; ``None`` while it is within the ``limits``, or while too
    little was seen."""
    if len(seen) < limits.min_requests:
        return None
    found = summary(seen)
    mine, ratio, alike = found["challenger"], found["latency_ratio"], found["overlap"]
    more = mine["degraded"] - found["champion"]["degraded"]
    if mine["errors"] > limits.max_errors:
        return f"{mine['errors']:.1%} of its answers are errors, {limits.max_errors:.1%} allowed"
    if ratio is not None and ratio > limits.max_latency_ratio:
        return (
            f"the 95th percentile of its time is {ratio:.1f} times the champion's,"
            f" {limits.max_latency_ratio:g} times allowed"
        )
    if more > limits.max_degraded:
        return f"{more:.1%} more of its answers are degraded, {limits.max_degraded:.1%} allowed"
    if alike is not None and alike < limits.min_overlap:
        return (
            f"its first {HITS} hits overlap with the champion's by {alike:.2f},"
            f" {limits.min_overlap:g} is the least"
        )
    return None
