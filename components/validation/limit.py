"""A limit of what a measurement may be: the one thing that judging and Great Expectations share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Limit:
    """``column`` must lie in [low, high], bounds included; a missing value is not judged.
    ``reason`` says of a row outside what is wrong with it."""

    column: str
    low: float | None
    high: float | None
    reason: str

    def broken(self, rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """(N,) whether each row is outside."""
        values = rows[self.column].to_numpy(dtype=np.float64)
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        result: npt.NDArray[np.bool_] = (values < low) | (values > high)
        return result


def mark(rows: pd.DataFrame, limit: Limit) -> None:
    """Give its ``reason`` to each row outside of ``limit`` that has none yet."""
    rows.loc[limit.broken(rows) & (rows["reason"] == ""), "reason"] = limit.reason
