"""Groups pictures by hubness, so that a bound on a group's hubness is a tight one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.index.gallery import Hubness

LEVELS = 8
_STEPS = 20  # between values of λ, between which the least hubness is interpolated

Levels = npt.NDArray[np.uint8]


def levels_of(hubness: Hubness, fusion_weight: float) -> Levels:
    """The level (N,) of each picture: its hubness at λ = ``fusion_weight``, in steps of equal
    width from 0 to :data:`LEVELS` - 1."""
    each = (1 - fusion_weight) * hubness.clip + fusion_weight * hubness.vision
    if not each.size or np.ptp(each) == 0:
        return np.zeros(len(each), dtype=np.uint8)
    steps = (each - each.min()) / np.ptp(each) * LEVELS
    return np.minimum(steps, LEVELS - 1).astype(np.uint8)


class Least:
    """A lower bound on the hubness of the pictures in each level, for any λ."""

    def __init__(self, hubness: Hubness, levels: Levels) -> None:
        self.hubness = hubness
        self._weights = np.linspace(0, 1, _STEPS + 1)
        self._least: dict[int, npt.NDArray[np.float64]] = {}
        for level in np.unique(levels).tolist():
            clip, vision = (column[levels == level].astype(np.float64) for column in hubness)
            self._least[level] = np.array(
                [((1 - weight) * clip + weight * vision).min() for weight in self._weights]
            )

    def at(self, fusion_weight: float) -> dict[int, float]:
        """The bound of each level that has a picture.

        The least of several linear functions of λ is concave, so it is nowhere below the straight
        line between two of its values.
        """
        return {
            level: float(np.interp(fusion_weight, self._weights, values))
            for level, values in self._least.items()
        }
