"""A limit on a measurement. Judging and Great Expectations share it, so that they always agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Limit:
    """The range [low, high], bounds included, in which the values of ``column`` must lie.

    A missing value passes. ``reason`` says what is wrong with a row outside the range.
    """

    column: str
    low: float | None
    high: float | None
    reason: str

    def broken(self, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether each row is outside the range: (N,)."""
        return self._outside(rows[self.column].to_numpy(dtype=np.float64))

    def excludes(self, value: float) -> bool:
        """Whether one value is outside the range."""
        return bool(self._outside(np.array(value)))

    def _outside(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        result: npt.NDArray[np.bool_] = (values < low) | (values > high)
        return result


def mark(rows: pd.DataFrame, limit: Limit) -> None:
    """Write the limit's ``reason`` into each row outside ``limit`` that has no reason yet."""
    rows.loc[limit.broken(rows) & (rows["reason"] == ""), "reason"] = limit.reason
