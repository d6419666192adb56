"""Blocks of queries whose scores against a whole gallery fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

_BLOCK = 2**25  # scores that :func:`blocks` allows at once: 128 MiB of float32


def blocks(queries: int, gallery: int) -> Iterator[slice]:
    """Slices of the queries, each with no more scores against the gallery than memory allows."""
    step = max(1, _BLOCK // max(1, gallery))
    for first in range(0, queries, step):
        yield slice(first, min(first + step, queries))
