"""The Pareto front as a picture: what quality costs, in seconds and in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from components.learning.intervals import Estimate

_PANELS = (
    ("query_seconds", "front_seconds", "seconds for a query that is drawn"),
    ("category_bytes", "front_bytes", "bytes kept of a category"),
)
_FRONT, _OTHER, _CHOSEN, _NOW = "#2c6e8f", "#b6bec6", "#d95f02", "#d98f2b"


def pareto(
    points: pd.DataFrame, marks: Mapping[str, int | None], text: Estimate, path: Path
) -> None:
    """Draw ``points``, the result of :func:`components.tuning.points.frame`.

    ``marks`` has the rows of the point that is ``chosen`` and of the one in params.yaml, ``now``.
    ``text`` is the mAP without imagined pictures.
    """
    figure = Figure((10, 4.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for cell, (cost, front, label) in zip(axes, _PANELS, strict=True):
        _panel(cell, points, cost, front)
        for name, mark, colour in (("chosen", "*", _CHOSEN), ("now", "D", _NOW)):
            row = marks[name]
            if row is not None:
                at = points.loc[row]
                size, shown = (190, "chosen") if name == "chosen" else (55, "in params.yaml")
                cell.scatter(
                    at[cost], at["map"], s=size, marker=mark, color=colour, zorder=4, label=shown
                )
        cell.axhline(text.mean, color="black", linestyle=":", linewidth=0.9, label="text alone")
        cell.set(xscale="log", xlabel=label)
        cell.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        cell.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        cell.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("mAP, validation categories")
    axes[1].legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.1))
    figure.suptitle("What quality costs: K/steps/guidance of the points on the front", fontsize=11)
    # no date in the file: equal inputs give an equal picture
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _panel(cell: Axes, points: pd.DataFrame, cost: str, front: str) -> None:
    cell.scatter(points[cost], points["map"], s=14, color=_OTHER, label="a point")
    best = points[points[front]].sort_values([cost, "map"])
    cell.step(best[cost], best["map"], where="post", color=_FRONT, linewidth=1)
    low, high = (best["map"] - best["low"]).fillna(0), (best["high"] - best["map"]).fillna(0)
    cell.errorbar(
        best[cost],
        best["map"],
        yerr=[low, high],
        fmt="o",
        markersize=5,
        color=_FRONT,
        elinewidth=0.6,
        label="on the front, 95 % interval",
    )
    for place, row in enumerate(best.to_dict("records")):
        cell.annotate(
            f"{row['count']}/{row['steps']}/{row['guidance']:g}",
            (row[cost], row["map"]),
            (3, -11 if place % 2 else 8),  # neighbours' texts do not meet
            textcoords="offset points",
            fontsize=7,
            color=_FRONT,
        )
