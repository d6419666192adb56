"""Measures of the first k pictures of a ranking: what a person sees who looks at no more of it.

Equal scores keep the gallery's order, as in :mod:`components.learning.metrics`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.index.gallery import top
from components.learning.metrics import Bools, Floats


def ndcg(scores: Floats, gains: Floats | Bools, k: int) -> npt.NDArray[np.float64]:
    """The normalised discounted cumulative gain of the first ``k`` pictures of each row, (Q,).

    A picture at rank r, from 1, adds its gain divided by ``log2(r + 1)``. The sum is divided by
    that of the best possible ranking (Järvelin and Kekäläinen, "Cumulated gain-based evaluation of
    IR techniques", TOIS 2002). ``scores`` and ``gains`` are (Q, N). Gains are at least 0; right and
    wrong are 1 and 0. The result is NaN for a row without a gain above 0.

    Raises :class:`ValueError` for a negative gain, and when ``k`` is below 1.
    """
    if k < 1 or (gains < 0).any():
        raise ValueError("k must be at least 1, and no gain below 0")
    gains = np.asarray(gains, dtype=np.float64)
    found = np.take_along_axis(gains, _first(scores, k), axis=1)
    best = -np.sort(-gains, axis=1)[:, :k]
    discount = 1 / np.log2(np.arange(2, found.shape[1] + 2))
    return _share((found * discount).sum(axis=1), (best * discount).sum(axis=1))


def recalls(scores: Floats, positive: Bools, k: int) -> npt.NDArray[np.float64]:
    """The share of each row's positives that are among its first ``k`` pictures, (Q,).

    With more than ``k`` positives it cannot reach 1. ``scores`` and ``positive`` are (Q, N). The
    result is NaN for a row without positives. Raises :class:`ValueError` when ``k`` is below 1.
    """
    if k < 1:
        raise ValueError("k must be at least 1")
    found = np.take_along_axis(positive, _first(scores, k), axis=1).sum(axis=1)
    return _share(found.astype(np.float64), positive.sum(axis=1).astype(np.float64))


def _first(scores: Floats, k: int) -> npt.NDArray[np.intp]:
    """The places of the ``k`` best of each row of ``scores`` (Q, N), best first."""
    return np.stack([top(row, k) for row in scores])


def _share(
    part: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
