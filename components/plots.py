"""The pictures that go with an evaluation: what was gained, where, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from components import manifest, pictures
from components.aggregator import Aggregator
from components.features import Features

mpl.use("Agg")

from matplotlib import pyplot as plt

COLOURS = {"seen": "#7a8794", "validation": "#d98f2b", "unseen": "#2c6e8f"}
SPLIT_GROUP = {"train": "seen", "validation": "validation", "unseen": "unseen"}
SHOWN = 8  # categories in the grid


class Strip(NamedTuple):
    """A category, fused - text AP, and its first results as (path, category), best first."""

    category: str
    gain: float
    text: list[tuple[str, str]]
    fused: list[tuple[str, str]]


def gains(frame: pd.DataFrame, path: Path) -> None:
    """Sorted bars of fused - text AP, one per category, coloured by split."""
    ordered = frame.sort_values("gain", ignore_index=True)
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    colours = [COLOURS[SPLIT_GROUP[s]] for s in ordered["split"]]
    axes.bar(ordered.index, ordered["gain"], width=1.0, color=colours)
    axes.axhline(0, color="black", linewidth=0.8)
    handles = [Patch(color=c) for c in COLOURS.values()]
    axes.legend(handles, COLOURS, frameon=False)
    better = (ordered["gain"] > 0).mean()
    axes.set(
        xlabel="category, sorted",
        ylabel="fused AP − text AP",
        title=f"What imagined pictures add: better in {better:.0%} of categories",
        xlim=(-1, len(ordered)),
    )
    _save(figure, path)


def weight_sweep(curve: pd.DataFrame, learned: float, path: Path) -> None:
    """mAP against λ by group, with the learned λ."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for group, part in curve.groupby("group", sort=False):
        axes.plot(part["lambda"], part["map"], color=COLOURS[str(group)], label=str(group))
    axes.axvline(learned, color="black", linestyle=":", label=f"learned λ = {learned:.2f}")
    axes.set(xlabel="λ (0: text alone, 1: imagined pictures alone)", ylabel="mAP", xlim=(0, 1))
    axes.legend(frameon=False)
    _save(figure, path)


def imagined_grid(accepted: Path, dataset: Path, path: Path) -> None:
    """Unseen categories: three imagined pictures above three real ones."""
    drawn = manifest.read(accepted, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    real = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    real = real[(real["subset"] == "gallery") & (real["split"] == "unseen")]
    names = real["category"].unique()
    names = names[:: max(1, len(names) // SHOWN)][:SHOWN]
    figure, axes = plt.subplots(
        6, len(names), figsize=(1.15 * len(names), 7.2), layout="constrained", squeeze=False
    )
    for column, name in enumerate(names):
        files = [accepted / p for p in drawn.loc[drawn["category"] == name, "path"][:3]]
        files += [None] * (3 - len(files))
        files += [dataset / p for p in real.loc[real["category"] == name, "path"][:3]]
        files += [None] * (6 - len(files))
        for row, file in enumerate(files):
            cell = axes[row, column]
            cell.set_axis_off()
            if file is not None:
                cell.imshow(pictures.read(file), interpolation="nearest")
        axes[0, column].set_title(name.replace(" ", "\n"), fontsize=8)
    figure.suptitle("imagined (above) and real (below)", fontsize=10)
    _save(figure, path)


def pictures_sweep(curve: pd.DataFrame, path: Path) -> None:
    """Fused mAP against the number of imagined pictures, by group."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for group, part in curve.groupby("group", sort=False):
        colour = COLOURS[str(group)]
        axes.plot(part["pictures"], part["map"], "o-", color=colour, label=str(group))
    axes.set(xlabel="imagined pictures of a category, K", ylabel="fused mAP")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    _save(figure, path)


def strips(shown: Sequence[Strip], accepted: Path, dataset: Path, path: Path) -> None:
    """A row per category: what was imagined, and the first results by text and by fused score,
    right ones framed in green, wrong ones in red."""
    drawn = manifest.read(accepted, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    many = int(drawn.groupby("category").size().max())
    hits = max(len(strip.text) for strip in shown)
    widths = [many, hits, hits]
    figure, axes = plt.subplots(
        len(shown),
        3,
        figsize=(0.55 * sum(widths) + 1.5, 0.72 * len(shown) + 0.5),
        width_ratios=widths,
        squeeze=False,
        layout="constrained",
    )
    for cells, strip in zip(axes, shown, strict=True):
        files = [accepted / p for p in drawn.loc[drawn["category"] == strip.category, "path"]]
        _strip(cells[0], files, [None] * len(files), many)
        cells[0].set_ylabel(
            f"{strip.category}\n{strip.gain:+.2f}", rotation=0, ha="right", va="center", fontsize=8
        )
        for cell, found in zip(cells[1:], (strip.text, strip.fused), strict=True):
            right = [category == strip.category for _, category in found]
            _strip(cell, [dataset / file for file, _ in found], right, hits)
    for cell, title in zip(axes[0], ("imagined", "by text", "fused"), strict=True):
        cell.set_title(title, fontsize=9)
    figure.suptitle("unseen categories that gain most and least", fontsize=10)
    _save(figure, path)


def _strip(axes: Axes, files: Sequence[Path], right: Sequence[bool | None], room: int) -> None:
    """Pictures side by side in ``axes``, which has room for ``room``; frames say right or wrong."""
    for side in axes.spines.values():
        side.set_visible(False)
    for i, (file, fits) in enumerate(zip(files, right, strict=True)):
        axes.imshow(
            pictures.read(file), extent=(i + 0.06, i + 0.94, 0.94, 0.06), interpolation="nearest"
        )
        if fits is not None:
            colour = "#2f8f4e" if fits else "#c43c39"
            axes.add_patch(
                Rectangle((i + 0.04, 0.04), 0.92, 0.92, fill=False, edgecolor=colour, linewidth=2)
            )
    axes.set(xlim=(0, room), ylim=(1, 0), xticks=[], yticks=[], aspect="equal")


def modality_gap(features: Features, model: Aggregator, gaps: dict[str, float], path: Path) -> None:
    """Queries and pictures in the plane of their two main directions: texts in CLIP's space, and
    imagined pictures in the vision encoder's, before and after the aggregator's shift."""
    drawn = features.imagined[features.accepted]
    spaces = {
        "text": ("texts, CLIP", features.text, features.gallery_clip),
        "imagined": ("imagined pictures, vision encoder", drawn, features.gallery_vision),
        "shifted": ("the same, shifted", drawn + model.shift.numpy(), features.gallery_vision),
    }
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for cell, (name, (title, queries, gallery)) in zip(axes, spaces.items(), strict=True):
        centre = np.concatenate([queries, gallery]).mean(axis=0)
        # the first axis joins the two means, the second is the pictures' main direction beside it
        apart = queries.mean(axis=0) - gallery.mean(axis=0)
        first = apart / max(float(np.linalg.norm(apart)), 1e-12)
        flat = gallery - gallery.mean(axis=0)
        flat = flat - np.outer(flat @ first, first)
        second = np.linalg.svd(flat, full_matrices=False)[2][0]
        for what, points, colour in (
            ("gallery", gallery, COLOURS["seen"]),
            ("queries", queries, COLOURS["unseen"]),
        ):
            x, y = (points - centre) @ first, (points - centre) @ second
            cell.scatter(x, y, s=3, color=colour, alpha=0.4, linewidths=0, label=what)
        cell.set(title=f"{title}\ngap {gaps[name]:.2f}", xticks=[], yticks=[], aspect="equal")
        cell.set_adjustable("datalim")
    for handle in axes[0].legend(frameon=False, markerscale=3).legend_handles:
        handle.set_alpha(1)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # no date in the file: equal inputs give an equal picture, and so an equal hash in DVC
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
