"""The plot of a verdict: each difference with its bounds, and the margin that it must clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.lifecycle.gate import Decision, Difference

COLOURS = {
    "better": "#2c6e8f",
    "no worse": "#2c6e8f",
    "inconclusive": "#7a8794",
    "worse": "#d95f02",
    "too few": "#7a8794",
}
_MARGIN = "#b3261e"


def forest(decision: Decision, path: Path) -> None:
    """A panel for each version that the challenger was compared with; the gain over text alone when
    there was none."""
    panels = {
        f"minus {one.against}": [one.overall, *one.slices] for one in decision.comparisons
    } or {"gain over text alone": [replace(decision.gain, name="new")]}
    longest = max(map(len, panels.values()))
    figure = Figure((10, 0.42 * longest + 1.5), layout="constrained")
    cells = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for cell, (title, parts) in zip(cells, panels.items(), strict=True):
        _rows(cell, parts)
        cell.set_title(title, fontsize=10)
        cell.set_xlabel("difference in mAP, with one-sided 95 % bounds")
    cells[0].set_yticks(
        range(longest),
        [f"{part.name} ({part.categories})" for part in next(iter(panels.values()))],
    )
    cells[0].invert_yaxis()
    # no date in the file: equal verdicts have an equal picture
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _rows(axes: Axes, parts: Sequence[Difference]) -> None:
    axes.axvline(0, color="black", linewidth=0.8)
    for row, part in enumerate(parts):
        colour, wide = COLOURS[part.outcome], 3.0 if row == 0 else 1.8
        if part.low is not None and part.high is not None:
            axes.plot([part.low, part.high], [row, row], color=colour, linewidth=wide)
        axes.plot(
            part.mean,
            row,
            "o",
            color=colour,
            markersize=7 if row == 0 else 5,
            markerfacecolor="white" if part.low is None else colour,
        )
        label = "margin" if row == 0 else None
        axes.plot([part.least] * 2, [row - 0.35, row + 0.35], color=_MARGIN, lw=2, label=label)
    axes.grid(axis="x", alpha=0.25)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.legend(frameon=False, fontsize=8, loc="best")
