"""Work on parts of the gallery in several threads: numpy and numkong let others run meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from components.threads import cpus

PART = 2**14
"""Rows in a part of the gallery. Numbers about so many rows stay in the processor's cache."""


def shares(rows: int, most: int) -> list[slice]:
    """``rows`` rows in slices of at most ``most``, whose sizes differ by one at most. Each thread
    gets as many, so that none waits for another at the end."""
    threads = _threads()
    count = -(-rows // (most * threads)) * threads
    edges = [rows * i // max(1, count) for i in range(count + 1)]
    return [slice(first, end) for first, end in pairwise(edges) if end > first]


def each(work: Callable[[slice], None], slices: Sequence[slice]) -> None:
    """Call ``work`` with each of ``slices``, in as many threads as numpy may use.

    They are new threads each time. The system starts a new thread on a free processor, but wakes
    one that waits on the processor of whoever woke it: kept threads took 1.5 times as long.
    """
    threads = min(len(slices), _threads())
    if threads < 2:
        for rows in slices:
            work(rows)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, slices))


def _threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else cpus()
