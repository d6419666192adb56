"""Work on parts of the gallery in several threads: numpy and numkong let others run meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from components.threads import cpus

PART = 2**14
"""Rows in a part of the gallery. Numbers about so many rows stay in the processor's cache."""


def each(work: Callable[[slice], None], slices: Sequence[slice]) -> None:
    """Call ``work`` with each of ``slices``, in as many threads as numpy may use."""
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
