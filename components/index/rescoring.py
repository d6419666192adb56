"""Exact scores of some pictures, for engines that first find which may be among the best."""

from __future__ import annotations

import numpy as np

from components.index.engine import Asked, Found, Precise, Rows
from components.index.gallery import Hubness, Stream, top
from components.vectors import Array

_AT_ONCE = 2**11  # rows


def best_of(
    spaces: tuple[Array, Array],
    rows: Rows,
    asked: Asked,
    query: int,
    k: int,
    hubness: Hubness | None,
) -> Found:
    """The best ``k`` of ``rows``, ascending, for one query of ``asked``, without streams.

    ``spaces`` are the gallery's embeddings (N, d_clip) and (N, d_vision). Scores are added up in
    float64, and rounded to float32 before they are compared.
    """
    text, image = asked.text[query], asked.aggregated[query]
    weight = float(asked.weights[query, 0])
    by_text, by_image = similar(spaces[0], rows, text), similar(spaces[1], rows, image)
    subtracted = np.zeros(len(rows))
    if hubness is not None:
        clip, vision = (column[rows].astype(np.float64) for column in hubness)
        subtracted = (1 - weight) * clip + weight * vision
    fused = (1 - weight) * by_text + weight * by_image - subtracted
    if asked.excluded is not None:
        strength = float(np.float32(asked.strength))
        fused -= strength * similar(spaces[0], rows, asked.excluded[query])
    rounded = fused.astype(np.float32)
    best = top(rounded, k)
    return Found(
        rows[best],
        rounded[best],
        by_text[best].astype(np.float32),
        by_image[best].astype(np.float32),
        subtracted[best].astype(np.float32),
        None,
    )


def stream_of(pictures: Array, rows: Rows, query: Array, k: int) -> Stream:
    """The best ``k`` of ``rows``, ascending, of ``pictures`` (N, d) for ``query`` (d,)."""
    scores = similar(pictures, rows, query).astype(np.float32)
    best = top(scores, k)
    return Stream(rows[best], scores[best])


def similar(pictures: Array, rows: Rows, query: Array) -> Precise:
    """The exact similarity of some rows of ``pictures`` (N, d) to ``query`` (d,), in float64.

    Each row is added up in the same way, so equal pictures have equal scores.
    """
    found = np.zeros(len(rows))
    exact = query.astype(np.float64)
    if exact.any():
        for first in range(0, len(rows), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            found[some] = np.einsum("nd,d->n", pictures[rows[some]].astype(np.float64), exact)
    return found
