"""Work on parts of the gallery in several threads: numpy and numkong let others run meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
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
    """Call ``work`` with each of ``slices``, in as many threads as numpy may use. Raises what
    ``work`` raises, once all have ended."""
    threads = _threads()
    if min(len(slices), threads) < 2:
        for rows in slices:
            work(rows)
        return
    pool = _pool(threads, os.getpid())
    done = [pool.submit(work, rows) for rows in slices]
    wait(done)
    for one in done:
        one.result()


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The threads of ``process``: a child does not have those of its parent. They are kept, since
    starting them takes as long as a tenth of a search."""
    return ThreadPoolExecutor(threads, "index")


def _threads() -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else cpus()
