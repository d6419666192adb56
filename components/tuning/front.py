"""The Pareto front: the points that no other point beats in quality and cost at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def on_front(quality: Floats, cost: Floats) -> npt.NDArray[np.bool_]:
    """Whether each of P points is on the Pareto front, (P,), by ``quality`` (P,), of which more is
    better, and ``cost`` (P,), of which less is better.

    A point is off the front if another one is at least as good and costs at most as much, and is
    strictly better in one of the two. Equal points are on the front together.
    """
    better = quality[None, :] >= quality[:, None]
    cheaper = cost[None, :] <= cost[:, None]
    differs = (quality[None, :] != quality[:, None]) | (cost[None, :] != cost[:, None])
    found: npt.NDArray[np.bool_] = ~(better & cheaper & differs).any(axis=1)
    return found
