"""The gate lets a better bundle pass and no worse one."""

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
    verdict = compare(challenger, champion, RULES)
    assert verdict.passed is passed
    assert verdict.reason
