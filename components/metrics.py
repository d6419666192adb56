"""How a ranking is scored, exactly as the method's authors score it.

Average precision is the *trapezoidal* one of the revisited Oxford and Paris evaluation (Radenović
et al., CVPR 2018), which the paper (BMVC 2025, arXiv 2509.00177) uses; scikit-learn's differs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def average_precision(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Trapezoidal average precision of one ranking.

    Each hit at zero-based rank ``r`` with ``j`` hits before it adds
    ``(j/r + (j+1)/(r+1)) / 2 / n_positives``; the precision before the first rank is 1.
    Equal scores keep the order of the gallery.

    ``scores`` (N,), ``positive`` (N,). Returns NaN when nothing is positive: such queries are left
    out of the mean.
    """
    order = np.argsort(-scores, kind="stable")
    ranks = np.flatnonzero(positive[order])
    if ranks.size == 0:
        return float("nan")
    hits = np.arange(ranks.size)
    before = np.where(ranks == 0, 1.0, hits / np.maximum(ranks, 1))
    after = (hits + 1) / (ranks + 1)
    return float((before + after).mean() / 2)


def mean_average_precision(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """Mean of :func:`average_precision` over the rows that have positives.

    ``scores`` and ``positive`` are (Q, N). NaN when no row has any.
    """
    found = np.array([average_precision(s, p) for s, p in zip(scores, positive, strict=True)])
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def bootstrap_interval(
    values: Floats, *, samples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the mean of ``values`` (n,), resampling them with replacement."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(values.size, size=(samples, values.size))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
