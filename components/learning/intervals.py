"""Bootstrap intervals of a mean over categories, and the harmonic mean of two groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DIGITS = 4
"""Decimals of a figure in a file. Intervals are about a hundred times wider than the last decimal,
and differences between processors about a hundred times smaller."""


@dataclass(frozen=True)
class Estimate:
    """A mean over categories, and the means of bootstrap resamples of the categories.

    ``resampled`` (samples,) is empty if there are too few categories for an interval. ``mean`` is
    NaN if there are no categories.
    """

    mean: float
    resampled: Floats

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference, resample by resample.

        Both estimates must be of the same categories and with the same seed.
        """
        return _combined(np.subtract, self, other)

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """The percentile interval of the mean, or None if there are too few categories."""
        if not self.resampled.size:
            return None
        low, high = np.quantile(self.resampled, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    def figures(self) -> dict[str, float]:
        """``{mean, low, high}``, rounded. A value that is unknown is left out."""
        low, high = self.interval() or (math.nan, math.nan)
        found = {"mean": self.mean, "low": low, "high": high}
        return {name: round(value, DIGITS) for name, value in found.items() if value == value}


def bootstrap(values: Floats, *, samples: int, seed: int | list[int], least: int) -> Estimate:
    """The mean of ``values`` (n,), with resamples drawn with replacement (Efron 1979).

    NaN values are left out. With fewer than ``least`` values there is no interval, because it would
    be much too narrow.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return Estimate(math.nan, np.empty(0))
    if values.size < least:
        return Estimate(float(values.mean()), np.empty(0))
    chosen = np.random.default_rng(seed).integers(values.size, size=(samples, values.size))
    return Estimate(float(values.mean()), values[chosen].mean(axis=1))


def average(one: Estimate, other: Estimate) -> Estimate:
    """The mean of two groups, which count the same however many categories each has."""
    return _combined(lambda x, y: (x + y) / 2, one, other)


def harmonic(seen: Estimate, unseen: Estimate) -> Estimate:
    """The harmonic mean of two groups, which is high only if both are high.

    It is the usual measure of generalised zero-shot learning (Xian et al., "Zero-Shot Learning: A
    Comprehensive Evaluation", TPAMI 2019).
    """
    return _combined(_harmonic, seen, unseen)


def _harmonic(one: Floats, other: Floats) -> Floats:
    total = one + other
    return np.divide(2 * one * other, total, out=np.zeros_like(total), where=total != 0)


def _combined(
    combine: Callable[[Floats, Floats], Floats], one: Estimate, other: Estimate
) -> Estimate:
    means = (np.array([estimate.mean]) for estimate in (one, other))
    known = one.resampled.size and other.resampled.size
    return Estimate(
        float(combine(*means)[0]),
        combine(one.resampled, other.resampled) if known else np.empty(0),
    )
