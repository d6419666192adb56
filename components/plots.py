"""The pictures that go with an evaluation: gains per category, λ sweep, imagined beside real."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from components import manifest, pictures

mpl.use("Agg")

from matplotlib import pyplot as plt

COLOURS = {"seen": "#7a8794", "validation": "#d98f2b", "unseen": "#2c6e8f"}
SPLIT_GROUP = {"train": "seen", "validation": "validation", "unseen": "unseen"}
SHOWN = 8  # categories in the grid


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


def imagined_grid(imagined: Path, dataset: Path, path: Path) -> None:
    """Unseen categories: three imagined pictures above three real ones."""
    drawn = manifest.read(imagined, manifest.IMAGINED_COLUMNS, "dvc repro generate")
    real = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    real = real[(real["subset"] == "gallery") & (real["split"] == "unseen")]
    names = real["category"].unique()
    names = names[:: max(1, len(names) // SHOWN)][:SHOWN]
    figure, axes = plt.subplots(
        6, len(names), figsize=(1.15 * len(names), 7.2), layout="constrained", squeeze=False
    )
    for column, name in enumerate(names):
        files = [imagined / p for p in drawn.loc[drawn["category"] == name, "path"][:3]]
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


def _save(figure: Figure, path: Path) -> None:
    # no date in the file: equal inputs give an equal picture, and so an equal hash in DVC
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
