"""Arrays of embeddings, their normalisation to length one, and their projection on a line."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
"""Embeddings or scores, in float32."""

Precise = npt.NDArray[np.float64]

_Real = TypeVar("_Real", bound=np.floating)
_AT_ONCE = 2**22  # numbers that are converted to double precision at a time: 32 MiB


def normalized(vectors: npt.NDArray[_Real], least: float = 1e-12) -> npt.NDArray[_Real]:
    """``vectors`` (..., d), each divided by its Euclidean length, in their own precision.

    A vector shorter than ``least`` is divided by ``least`` instead, so a zero vector stays zero.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: npt.NDArray[_Real] = vectors / np.maximum(lengths, least)
    return unit


def along(vectors: npt.NDArray[np.floating], line: Precise) -> Precise:
    """``vectors @ line`` in double precision: (N,), for ``vectors`` (N, d) and ``line`` (d,).

    They are converted a block of rows at a time, since a copy of all may be too large for memory.
    """
    found, step = np.empty(len(vectors)), max(1, _AT_ONCE // len(line))
    for first in range(0, len(vectors), step):
        rows = slice(first, first + step)
        found[rows] = vectors[rows].astype(np.float64) @ line
    return found
