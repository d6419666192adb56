"""The gate lets a better bundle pass, and stops a worse one."""

from __future__ import annotations

import pytest

from components.config import Gate
from components.lifecycle.gate import compare

RULES = Gate(min_gain=0.0, tolerance=0.005)


def run(fused: float, low: float = 0.01) -> dict[str, float]:
    return {"map.fused.unseen.mean": fused, "gain.unseen.low": low}


@pytest.mark.parametrize(
    ("challenger", "champion", "passed"),
    [
        (run(0.80), None, True),
        (run(0.80, low=0.0), None, False),
        (run(0.80, low=-0.02), run(0.70), False),
        (run(0.82), run(0.80), True),
        (run(0.796), run(0.80), True),
        (run(0.79), run(0.80), False),
    ],
)
def test_the_verdict(
    challenger: dict[str, float], champion: dict[str, float] | None, passed: bool
) -> None:
    verdict = compare(challenger, champion, RULES, 10)
    assert verdict.passed is passed
    assert verdict.reason


@pytest.mark.parametrize("champion", [None, run(0.5)])
def test_nothing_is_concluded_from_too_few_categories(champion: dict[str, float] | None) -> None:
    few = {"map.fused.unseen.mean": 0.9, "gain.unseen.mean": 0.3, "categories.unseen": 2.0}
    verdict = compare(few, champion, RULES, 10)
    assert not verdict.passed
    assert "so few unseen categories: 2, and an interval needs 10" in verdict.reason
