"""A share of cases that come in groups, with an interval that knows of the groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 1000


class Share(NamedTuple):
    """A share, and its 95 % interval."""

    value: float
    low: float
    high: float


def share(part: Floats, whole: Floats, seed: int) -> Share:
    """The share of ``part`` (G,) in ``whole`` (G,), both counted in each of G groups.

    The interval is a bootstrap over the groups (Efron 1979): cases of one group, such as one query
    that was asked a thousand times, are not independent. G is at least 1, and all of ``whole`` are
    above 0.
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(whole), size=len(whole))
        found.append(part[chosen].sum() / whole[chosen].sum())
    low, high = np.quantile(found, [0.025, 0.975])
    return Share(float(part.sum() / whole.sum()), float(low), float(high))
