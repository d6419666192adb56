"""`eidolon tune`: measures the grid, chooses a point for a budget, and writes what was found.

artifacts/tuning/points.csv  every point, the fastest first
artifacts/tuning/pareto.png  quality against seconds and bytes, with the Pareto front
artifacts/tuning/tune.json   the choice, the budget, and what it was measured with
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from components import config, tables
from components.files import folder_aside, write_json
from components.imagining.store import Store
from components.learning.intervals import Estimate
from components.models.checkpoints import device
from components.models.fingerprints import fingerprint
from components.paths import TUNING
from components.tuning import plot
from components.tuning.choice import Budget, Choice, choose, sentence
from components.tuning.grid import Grid
from components.tuning.measure import measure
from components.tuning.points import Point, frame


@dataclass(frozen=True)
class Tuned:
    """What was found: a row of ``points`` for each point, ``text``, the mAP of text alone, and the
    ``choice`` with a sentence on why (``why``). ``marks`` has the rows of the point that is
    ``chosen`` and of the one in params.yaml, ``now``, which may not be in the grid."""

    points: pd.DataFrame
    text: Estimate
    choice: Choice
    why: str
    marks: Mapping[str, int | None]

    @property
    def values(self) -> dict[str, int | float]:
        """What params.yaml needs for the chosen point."""
        point = self.choice.point
        return {
            "generator.images_per_category": point.count,
            "generator.steps": point.steps,
            "generator.guidance": point.guidance,
        }


def tune(
    params: config.Params,
    grid: Grid,
    budget: Budget,
    store: Store | None = None,
    out: Path = TUNING,
) -> Tuned:
    """Measure ``grid``, choose within ``budget``, and write three files to ``out``.

    Raises :class:`EidolonError` as :func:`measure` and :func:`choose` do. ``out`` then stays as it
    was, and the pictures stay in the store.
    """
    measured = measure(params, grid, store)
    choice = choose(measured.points, budget, params.validation.mostly)
    table = frame(measured.points)
    now = next((one for one in measured.points if one.is_of(params.generator)), None)
    marks = {
        "chosen": _row(table, choice.point),
        "now": None if now is None else _row(table, now),
    }
    tuned = Tuned(table, measured.text, choice, sentence(choice, budget), marks)
    with folder_aside(out) as aside:
        tables.write(aside / "points.csv", table)
        plot.pareto(table, marks, measured.text, aside / "pareto.png")
        write_json(aside / "tune.json", _summary(tuned, params, budget, measured.points))
    return tuned


def _row(table: pd.DataFrame, point: Point) -> int:
    same = (
        (table["count"] == point.count)
        & (table["steps"] == point.steps)
        & (table["guidance"] == point.guidance)
    )
    return int(table.index[same][0])


def _summary(
    tuned: Tuned, params: config.Params, budget: Budget, points: Sequence[Point]
) -> dict[str, Any]:
    generator, choice = params.generator, tuned.choice
    return {
        "profile": params.profile,
        "generator": fingerprint(generator.model, generator.revision),
        "size": generator.size,
        "device": str(device()),
        "cores": os.cpu_count(),
        "budget": asdict(budget),
        "points": len(points),
        "text": tuned.text.figures(),
        "chosen": tuned.values
        | {
            "lambda": choice.point.fusion_weight,
            "map": choice.point.map.figures(),
            **asdict(choice.point.cost),
        },
        "best": choice.best.name,
        "most_lost": choice.most_lost,
        "why": tuned.why,
    }
