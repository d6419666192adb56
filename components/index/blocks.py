"""Splits queries into blocks whose scores against the whole gallery fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

_BLOCK = 2**25  # scores in a block: 128 MiB of float32


def blocks(queries: int, gallery: int) -> Iterator[slice]:
    """Slices of ``queries`` queries, each with at most 2**25 scores against ``gallery`` pictures,
    or of one query."""
    step = max(1, _BLOCK // max(1, gallery))
    for first in range(0, queries, step):
        yield slice(first, min(first + step, queries))
