"""Splits rows into blocks that fit into memory, such as queries with all their scores."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 2**25
"""Numbers in a block: 128 MiB of float32."""


def blocks(rows: int, width: int, most: int = BLOCK) -> Iterator[slice]:
    """Slices of ``rows`` rows of ``width`` numbers, such as queries with a score for each picture.
    Each has at most ``most`` numbers, or is a single row."""
    step = max(1, most // max(1, width))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))
