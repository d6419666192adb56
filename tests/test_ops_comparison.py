"""When a challenger on trial is withdrawn, and when it is not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from components.config import Canary
from ops.comparison import Reply, Seen, objection, overlap, summary

LIMITS = Canary(min_requests=20)
FINE: dict[str, Any] = {"status": 200, "ms": 10.0, "degraded": None, "confidence": 0.8}
ALIKE = Seen(FINE, FINE, 0.9)


def seen(changed: Seen, count: int = 5, of: int = 100) -> list[Seen]:
    """``of`` comparisons, ``count`` of which are as ``changed``."""
    return [changed] * count + [ALIKE] * (of - count)


def test_equal_ones_and_too_few_are_let_be() -> None:
    assert objection([ALIKE] * 100, LIMITS) is None
    assert objection([Seen(FINE, {**FINE, "status": 500}, None)] * 19, LIMITS) is None
    assert objection([], LIMITS) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (replace(ALIKE, challenger={**FINE, "status": 500}), "5.0% of its answers are errors"),
        (replace(ALIKE, challenger={**FINE, "status": 0}), "errors"),
        (replace(ALIKE, challenger={**FINE, "ms": 1000.0}), "the 95th percentile of its time"),
        (replace(ALIKE, challenger={**FINE, "degraded": "slow"}), "more of its answers are degr"),
        (replace(ALIKE, overlap=0.0), "hits overlap with the champion's by"),
    ],
)
def test_each_limit_withdraws(changed: Seen, why: str) -> None:
    count = 5 if "errors" in why else 80
    assert why in str(objection(seen(changed, count), LIMITS))


def test_what_both_do_is_no_fault_of_the_challenger() -> None:
    refused = {**FINE, "status": 400}
    slow = {**FINE, "ms": 5000.0, "degraded": "slow"}
    assert objection(seen(Seen(refused, refused, None), 50), LIMITS) is None
    assert objection(seen(Seen(slow, slow, 0.9), 50), LIMITS) is None
    assert objection(seen(Seen({**FINE, "status": 500}, FINE, None), 50), LIMITS) is None


def test_overlap_counts_common_hits_in_any_order() -> None:
    assert overlap("abcd", "dcba") == 1
    assert overlap("abcd", "abxy") == 0.5
    assert overlap("ab", "abcd") == 0.5
    assert overlap("", "abcd") is None


def test_a_reply_that_cannot_be_read_is_an_error() -> None:
    hits = [{"id": str(i)} for i in range(30)]
    body = {"hits": hits, "degraded": None, "confidence": 0.5}
    assert Reply.of(200, json.dumps(body).encode(), 1).hits == tuple(map(str, range(10)))
    for text in (b"", b"[]", b"{}", b"\xff"):
        assert Reply.of(200, text, 1).status == 0
    assert Reply.of(503, b"anything", 1) == Reply(503, 1)


def test_nothing_seen_is_a_summary_without_figures() -> None:
    found = summary([])
    assert (found["compared"], found["overlap"], found["latency_ratio"]) == (0, None, None)
