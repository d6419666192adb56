"""Measures seconds: the median of several repeats, so that one slow moment does not count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

REPEATS = 5


def timed(work: Callable[[int], T], repeats: int = REPEATS) -> tuple[T, float]:
    """The last result of ``work(repeat)``, and the median of its seconds over ``repeats``."""
    took = []
    for repeat in range(repeats):
        began = time.perf_counter()
        found = work(repeat)
        took.append(time.perf_counter() - began)
    return found, statistics.median(took)


def median_seconds(work: Callable[[int], object], repeats: int = REPEATS) -> float:
    """The median of the seconds of ``work(repeat)``, after one warm-up, ``work(-1)``."""
    work(-1)
    return timed(work, repeats)[1]
