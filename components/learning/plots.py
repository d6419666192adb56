"""The pictures that go with an evaluation: what was gained, where, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from components import manifest
from components.features.features import Features
from components.images import decoding
from components.kinds import CLASS
from components.vectors import Array

COLOURS = {"seen": "#7a8794", "validation": "#d98f2b", "unseen": "#2c6e8f"}
SPLIT_GROUP = {"train": "seen", "validation": "validation", "unseen": "unseen"}
RIGHT, WRONG = "#2c6e8f", "#d95f02"
SHOWN = 8  # categories in the grid
_POINTS = 20_000  # of each kind among the queries and pictures
_SIDE = 128  # pixels: about what a picture is shown with


class Strip(NamedTuple):
    """A category, fused - text AP, and its first results as (path, category), best first."""

    category: str
    gain: float
    text: list[tuple[str, str]]
    fused: list[tuple[str, str]]


def gains(frame: pd.DataFrame, path: Path) -> None:
    """Sorted bars of fused - text AP, one per category, a panel for seen and one for unseen."""
    figure = Figure((9, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    groups = frame["split"].map(SPLIT_GROUP)
    for cell, group in zip(axes, ("seen", "unseen"), strict=True):
        gain = np.sort(frame.loc[groups == group, "gain"])
        better = f"better in {(gain > 0).mean():.0%}" if gain.size else "none"
        cell.bar(range(gain.size), gain, width=1.0, color=COLOURS[group])
        cell.axhline(0, color="black", linewidth=0.8)
        cell.set(xlabel="category, sorted", title=f"{group}: {better}")
    axes[0].set_ylabel("fused AP − text AP")
    figure.suptitle("What imagined pictures add to each category", fontsize=11)
    _save(figure, path)


def fusion_weight_sweep(curve: pd.DataFrame, chosen: float, path: Path) -> None:
    """mAP against λ by group, with the λ that validation chose."""
    figure = Figure((6, 3.6), layout="constrained")
    axes = figure.subplots()
    for group, part in curve.groupby("group", sort=False):
        axes.plot(part["lambda"], part["map"], color=COLOURS[str(group)], label=str(group))
    axes.axvline(chosen, color="black", linestyle=":", label=f"chosen λ = {chosen:.2f}")
    axes.set(
        xlabel="λ (0: text alone, 1: imagined pictures alone)",
        ylabel="fused mAP",
        xlim=(0, 1),
        title="How much weight imagined pictures deserve",
    )
    axes.legend(frameon=False)
    _save(figure, path)


def imagined_grid(accepted: Path, dataset: Path, path: Path) -> None:
    """Unseen categories: three imagined pictures above three real ones."""
    drawn = _named(accepted)
    real = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    real = real[(real["subset"] == "gallery") & (real["split"] == "unseen")]
    names = real["category"].unique()
    if not names.size:
        _nothing("no category is unseen", path)
        return
    names = names[:: max(1, len(names) // SHOWN)][:SHOWN]
    figure = Figure((1.15 * len(names), 7.2), layout="constrained")
    axes = figure.subplots(6, len(names), squeeze=False)
    for column, name in enumerate(names):
        files = [accepted / p for p in drawn.loc[drawn["category"] == name, "path"][:3]]
        files += [None] * (3 - len(files))
        files += [dataset / p for p in real.loc[real["category"] == name, "path"][:3]]
        files += [None] * (6 - len(files))
        for row, file in enumerate(files):
            cell = axes[row, column]
            cell.set_axis_off()
            if file is not None:
                cell.imshow(decoding.decode(file, side=_SIDE), interpolation="nearest")
        axes[0, column].set_title(name.replace(" ", "\n"), fontsize=8, parse_math=False)
    figure.suptitle("imagined (above) and real (below)", fontsize=10)
    _save(figure, path)


def pictures_sweep(curve: pd.DataFrame, path: Path) -> None:
    """Fused mAP against the number of imagined pictures, by group."""
    figure = Figure((6, 3.6), layout="constrained")
    axes = figure.subplots()
    for group, part in curve.groupby("group", sort=False):
        colour = COLOURS[str(group)]
        axes.plot(part["pictures"], part["map"], "o-", color=colour, label=str(group))
    axes.set(
        xlabel="imagined pictures of a category, K",
        ylabel="fused mAP",
        title="What more imagined pictures add",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    _save(figure, path)


def strips(shown: Sequence[Strip], accepted: Path, dataset: Path, path: Path) -> None:
    """A row per category: what was imagined, and the first results by text and by fused score,
    wrong ones crossed out."""
    if not shown:
        _nothing("no category is unseen", path)
        return
    drawn = _named(accepted)
    many = int(drawn.groupby("category").size().max())
    hits = max(len(strip.text) for strip in shown)
    widths = [many, hits, hits]
    size = (0.55 * sum(widths) + 1.5, 0.72 * len(shown) + 0.5)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(shown), 3, width_ratios=widths, squeeze=False)
    for cells, strip in zip(axes, shown, strict=True):
        files = [accepted / p for p in drawn.loc[drawn["category"] == strip.category, "path"]]
        _strip(cells[0], files, [None] * len(files), many)
        cells[0].set_ylabel(
            f"{strip.category}\n{strip.gain:+.2f}",
            rotation=0,
            ha="right",
            va="center",
            fontsize=8,
            parse_math=False,
        )
        for cell, found in zip(cells[1:], (strip.text, strip.fused), strict=True):
            right = [category == strip.category for _, category in found]
            _strip(cell, [dataset / file for file, _ in found], right, hits)
    for cell, title in zip(axes[0], ("imagined", "first by text", "first by fusion"), strict=True):
        cell.set_title(title, fontsize=9)
    figure.suptitle(
        "Unseen categories that gain most and least, and their gain in AP"
        " (framed: right; crossed out: another category)",
        fontsize=10,
    )
    _save(figure, path)


def _named(accepted: Path) -> pd.DataFrame:
    """The manifest of the pictures that were imagined for names."""
    drawn = manifest.read(accepted, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    return drawn[drawn["kind"] == CLASS]


def _strip(axes: Axes, files: Sequence[Path], right: Sequence[bool | None], room: int) -> None:
    """Pictures side by side in ``axes``, which has room for ``room``; right ones are framed, wrong
    ones crossed out."""
    for side in axes.spines.values():
        side.set_visible(False)
    for i, (file, fits) in enumerate(zip(files, right, strict=True)):
        image = decoding.decode(file, side=_SIDE)
        axes.imshow(image, extent=(i + 0.06, i + 0.94, 0.94, 0.06), interpolation="nearest")
        if fits is True:
            edge = Rectangle((i + 0.04, 0.04), 0.92, 0.92, fill=False, edgecolor=RIGHT, linewidth=2)
            axes.add_patch(edge)
        elif fits is False:
            for ends in ((0.08, 0.92), (0.92, 0.08)):
                axes.plot((i + 0.08, i + 0.92), ends, color=WRONG, linewidth=1.5)
    axes.set(xlim=(0, room), ylim=(1, 0), xticks=[], yticks=[], aspect="equal")


def modality_gap(features: Features, gaps: dict[str, float], path: Path) -> None:
    """Queries and pictures of the gallery, in standard deviations of the pictures: along the line
    that joins the two means, and along the pictures' main direction beside it. Of a large gallery,
    some of its pictures."""
    drawn = features.imagined[features.accepted]
    spaces = {
        "text": ("texts, CLIP", _some(features.text), _some(features.gallery_clip)),
        "imagined": (
            "imagined pictures, vision encoder",
            _some(drawn),
            _some(features.gallery_vision),
        ),
    }
    figure = Figure((9, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for cell, (name, (title, queries, gallery)) in zip(axes, spaces.items(), strict=True):
        centre = gallery.mean(axis=0)
        first = queries.mean(axis=0) - centre
        first = first / np.linalg.norm(first)
        flat = gallery - centre
        flat = flat - np.outer(flat @ first, first)
        second = np.linalg.svd(flat, full_matrices=False)[2][0]
        for what, points, colour, size in (
            ("gallery", gallery, COLOURS["seen"], 3),
            ("queries", queries, COLOURS["validation"], 5),
        ):
            x, y = (
                (points - centre) @ axis / ((gallery - centre) @ axis).std()
                for axis in (first, second)
            )
            cell.scatter(x, y, s=size, color=colour, alpha=0.5, linewidths=0, label=what)
        cell.set(
            title=f"{title}: {gaps[name]:.1f} apart", xlabel="along the gap, standard deviations"
        )
    axes[0].set_ylabel("beside it, standard deviations")
    figure.suptitle("Queries among the gallery's pictures", fontsize=11)
    for handle in axes[0].legend(frameon=False, markerscale=3).legend_handles:
        handle.set_alpha(1)
    _save(figure, path)


def _some(vectors: Array) -> Array:
    """At most :data:`_POINTS` of ``vectors`` (N, d), at equal distances."""
    return vectors[:: max(1, -(-len(vectors) // _POINTS))]


def _nothing(why: str, path: Path) -> None:
    """A picture that says why there is nothing to show: the stage promises a file."""
    figure = Figure((4, 1))
    figure.text(0.5, 0.5, why, ha="center", va="center")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # no date in the file: equal inputs give an equal picture, and so an equal hash in DVC
    figure.savefig(path, dpi=130, metadata={"Software": None})
