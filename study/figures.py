"""The study's figures with their intervals, and their form on a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

PAPER, SIMPLEST, DEFAULT = "the paper's aggregator", "best fixed λ by validation", "the default"
FAIREST = "the paper's aggregator, λ by validation"
CORRECTED = "the paper's aggregator, λ by validation, corrected"
TEXT, REAL = "text alone", "real photos, network, λ chosen again"
Interval = tuple[float, float]  # mean, and half the width of its 95 % interval


def interval(values: np.ndarray) -> Interval:
    """Mean of ``values`` (seeds,) and half the width of its 95 % interval (Student's t)."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(np.mean(values)), float(half)


class Figures:
    """mAP of every method and seed, from the table of ``study.__main__.compare``."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.seeds = frame["seed"].nunique()

    def of(self, method: str, group: str) -> Interval:
        return interval(self._values(method, group))

    def between(self, method: str, other: str, group: str) -> Interval:
        """``method`` minus ``other``, seed by seed."""
        return interval(self._values(method, group) - self._values(other, group))

    def share(self, method: str) -> Interval:
        """The share of the way from text alone to real photos that ``method`` goes on unseen
        categories, seed by seed."""
        return interval(self.along(self._values(method, "unseen")))

    def along(self, unseen: np.ndarray) -> np.ndarray:
        """mAP on unseen categories (seeds,) as shares of the way from text alone to real photos."""
        text, real = (self._values(method, "unseen") for method in (TEXT, REAL))
        return (unseen - text) / (real - text)

    def _values(self, method: str, group: str) -> np.ndarray:
        chosen = self._frame[self._frame["method"] == method].sort_values("seed")
        return chosen[group].to_numpy()


def pm(value: Interval) -> str:
    return f"{value[0]:.3f} ± {value[1]:.3f}"


def signed(value: Interval) -> str:
    return f"{value[0]:+.3f} ± {value[1]:.3f}"


def percent(value: Interval) -> str:
    return f"{100 * value[0]:.0f} ± {100 * value[1]:.0f} %"


def table(head: str, rows: Sequence[str]) -> str:
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *rows])


def strong(name: str) -> str:
    return f"**{name}**" if name == DEFAULT else name


def verdict(value: Interval) -> str:
    mean, half = value
    return "helps" if mean > half else "hurts" if mean < -half else "no difference shown"


class Sweep:
    """mAP on unseen categories by the number of pictures or steps, from the table (seed, what,
    value, unseen)."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def values(self, what: str) -> list[int]:
        return sorted(self._frame.loc[self._frame["what"] == what, "value"].unique().tolist())

    def at(self, what: str, value: int) -> Interval:
        return interval(self.seeds(what, value))

    def less(self, what: str, value: int, usual: int) -> Interval:
        """The figure at ``value`` minus that at ``usual``, seed by seed."""
        return interval(self.seeds(what, value) - self.seeds(what, usual))

    def seeds(self, what: str, value: int) -> np.ndarray:
        """The figures (seeds,) at ``value``."""
        chosen = self._frame[(self._frame["what"] == what) & (self._frame["value"] == value)]
        return chosen.sort_values("seed")["unseen"].to_numpy()
