"""What is known of a setting: how well it ranks, how long it takes, and how much it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from components import config
from components.learning.intervals import DIGITS, Estimate
from components.tuning.front import on_front


@dataclass(frozen=True)
class Cost:
    """What a point costs.

    A query is a text that nobody asked before: K pictures are drawn as one batch and go through
    both encoders. A category's pictures are drawn and encoded in full batches, and the rejected
    ones again. ``query_seconds`` and ``category_seconds`` are for all K pictures.

    ``query_bytes`` is what the service remembers of a query: PNG and the vectors of both encoders.
    ``category_bytes`` is what a category adds: PNG in the store, the vectors of its pictures and
    their aggregated embedding in the bundle.
    """

    query_seconds: float
    category_seconds: float
    query_bytes: int
    category_bytes: int


@dataclass(frozen=True, eq=False)
class Point:
    """K = ``count`` pictures in ``steps`` steps with ``guidance``, and what they give and cost.

    ``fusion_weight`` is the λ that is best for the validation categories, and ``map`` is the mean
    of their average precision with it. ``accepted`` is the share of the pictures that `validate`
    accepts in the end, and ``redrawn`` how many further pictures each one took.
    """

    count: int
    steps: int
    guidance: float
    fusion_weight: float
    map: Estimate
    accepted: float
    redrawn: float
    cost: Cost

    @property
    def name(self) -> str:
        """The setting in words."""
        return f"K = {self.count}, {self.steps} steps, guidance {self.guidance:g}"

    def is_of(self, params: config.Generator) -> bool:
        """Whether ``params`` has this setting."""
        here = params.images_per_category, params.steps, params.guidance
        return here == (self.count, self.steps, self.guidance)


def frame(points: Sequence[Point]) -> pd.DataFrame:
    """A row for each point, the fastest first.

    ``front_seconds`` and ``front_bytes`` say whether it is on the Pareto front of mAP against the
    seconds of a query, and against the bytes of a category.
    """
    rows = []
    for point in points:
        figures = point.map.figures()
        rows.append(
            {
                "count": point.count,
                "steps": point.steps,
                "guidance": point.guidance,
                "lambda": round(point.fusion_weight, DIGITS),
                "map": figures["mean"],
                "low": figures.get("low", np.nan),
                "high": figures.get("high", np.nan),
                "accepted": round(point.accepted, DIGITS),
                "redrawn": round(point.redrawn, DIGITS),
                "query_seconds": point.cost.query_seconds,
                "category_seconds": point.cost.category_seconds,
                "query_bytes": point.cost.query_bytes,
                "category_bytes": point.cost.category_bytes,
            }
        )
    found = pd.DataFrame(rows)
    quality = found["map"].to_numpy(dtype=np.float64)
    for name, column in (("front_seconds", "query_seconds"), ("front_bytes", "category_bytes")):
        found[name] = on_front(quality, found[column].to_numpy(dtype=np.float64))
    return found.sort_values(["query_seconds", "category_bytes"], ignore_index=True)
