"""The stage `evaluate`: mAP of text, image and fused ranking over the gallery, by split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components import config, plots
from components.aggregator import Aggregator
from components.features import Features
from components.files import folder_aside, write_json
from components.metrics import average_precision, bootstrap_interval, mean_average_precision
from components.paths import AGGREGATOR, DATASET, EVALUATION, FEATURES, IMAGINED
from components.search import Gallery
from components.train import aggregate

GROUPS = {"seen": ("train",), "validation": ("validation",), "unseen": ("unseen",)}
SWEEP = np.round(np.arange(0, 1.01, 0.05), 2)


def per_category(model: Aggregator, features: Features) -> pd.DataFrame:
    """One row per category that has gallery pictures: its AP by text, image and fused score.

    The gallery is the whole gallery: every category's pictures are distractors of the others.
    """
    gallery = Gallery(features.gallery_clip, features.gallery_vision)
    scores = gallery.score(features.text, aggregate(model, features), model.fusion_weight)
    labels = features.labels(features.gallery)
    frame = features.categories.copy()
    for name in ("text", "image", "fused"):
        matrix = getattr(scores, name)
        frame[name] = [average_precision(row, labels == i) for i, row in enumerate(matrix)]
    frame["gain"] = frame["fused"] - frame["text"]
    return frame.dropna(subset=["fused"]).reset_index(drop=True)


def summarise(frame: pd.DataFrame, params: config.Evaluate) -> dict[str, Any]:
    """``{"map": {kind: {group: {mean, low, high}}}, "gain": {group: {mean, low, high}}}``.

    ``low`` and ``high`` bound the mean with 95 % over resamples of the categories.
    """

    def interval(values: pd.Series) -> dict[str, float]:
        array = values.to_numpy(dtype=np.float64)
        low, high = bootstrap_interval(array, samples=params.bootstrap, seed=params.seed)
        return {"mean": float(array.mean()), "low": low, "high": high}

    groups = {g: frame[frame["split"].isin(splits)] for g, splits in GROUPS.items()}
    return {
        "map": {
            kind: {g: interval(part[kind]) for g, part in groups.items()}
            for kind in ("text", "image", "fused")
        },
        "gain": {g: interval(part["gain"]) for g, part in groups.items()},
    }


def sweep(model: Aggregator, features: Features) -> pd.DataFrame:
    """Fused mAP at each fixed λ of :data:`SWEEP`, by group: how sharp the choice of λ is."""
    gallery = Gallery(features.gallery_clip, features.gallery_vision)
    image, labels = aggregate(model, features), features.labels(features.gallery)
    rows = []
    for group, splits in GROUPS.items():
        chosen = np.concatenate([features.rows(s) for s in splits])
        positive = labels[None, :] == chosen[:, None]
        for lam in SWEEP:
            fused = gallery.score(features.text[chosen], image[chosen], float(lam)).fused
            rows.append((group, float(lam), mean_average_precision(fused, positive)))
    return pd.DataFrame(rows, columns=["group", "lambda", "map"])


def evaluate(
    params: config.Evaluate,
    features: Path = FEATURES,
    aggregator: Path = AGGREGATOR,
    imagined: Path = IMAGINED,
    dataset: Path = DATASET,
    out: Path = EVALUATION,
) -> dict[str, Any]:
    """Write ``metrics.json``, ``per_category.csv``, ``sweep.csv`` and the pictures."""
    found = Features.load(features)
    model = Aggregator.load(aggregator / "aggregator.safetensors")
    frame, curve = per_category(model, found), sweep(model, found)
    metrics = summarise(frame, params) | {"lambda": model.fusion_weight}
    with folder_aside(out) as aside:
        frame.to_csv(aside / "per_category.csv", index=False)
        curve.to_csv(aside / "sweep.csv", index=False)
        write_json(aside / "metrics.json", metrics)
        plots.gains(frame, aside / "gains.png")
        plots.weight_sweep(curve, model.fusion_weight, aside / "sweep.png")
        plots.imagined_grid(imagined, dataset, aside / "imagined.png")
    return metrics
