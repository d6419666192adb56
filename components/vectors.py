"""Arrays of embeddings, and their normalisation to length one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
"""Embeddings or scores, in float32."""


def normalized(vectors: npt.NDArray, least: float = 1e-12) -> npt.NDArray:
    """``vectors`` (..., d), each divided by its length, or by ``least`` where it is shorter."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), least)
