"""Arrays of embeddings, and their normalisation to length one."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
"""Embeddings or scores, in float32."""

_Real = TypeVar("_Real", bound=np.floating)


def normalized(vectors: npt.NDArray[_Real], least: float = 1e-12) -> npt.NDArray[_Real]:
    """``vectors`` (..., d), each divided by its Euclidean length, in their own precision.

    A vector shorter than ``least`` is divided by ``least`` instead, so a zero vector stays zero.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: npt.NDArray[_Real] = vectors / np.maximum(lengths, least)
    return unit
