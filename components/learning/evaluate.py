"""The stage `evaluate`: mAP of text, image and fused ranking over the gallery, by split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components import config, tables
from components.features.features import Features
from components.files import folder_aside, write_json
from components.index.build import build_index
from components.index.gallery import Gallery, top
from components.learning import plots
from components.learning.aggregator import Aggregator, aggregate
from components.learning.analysis import (
    modality_gap,
    per_category,
    pictures_sweep,
    reported,
    summarise,
    sweep,
)
from components.learning.by_kind import by_kind, summarise_kinds
from components.learning.intervals import DIGITS
from components.learning.selection import grid
from components.paths import ACCEPTED, AGGREGATOR, DATASET, EVALUATION, FEATURES
from components.vectors import Array

STRIPS, HITS = 3, 12  # how many best and worst categories are shown, and results of each


def best_and_worst(
    features: Features,
    gallery: Gallery,
    aggregated: Array,
    fusion_weight: float,
    frame: pd.DataFrame,
) -> list[plots.Strip]:
    """The unseen categories that fusion improves most and least, with their first results.

    ``frame`` is the result of :func:`components.learning.analysis.per_category`.
    """
    chosen = frame[frame["split"] == "unseen"].sort_values("gain", ascending=False)
    chosen = pd.concat([chosen.head(STRIPS), chosen.iloc[STRIPS:].tail(STRIPS)])
    rows = pd.Index(features.categories["category"]).get_indexer(pd.Index(chosen["category"]))
    by_text, fused = (
        gallery.score(features.text[rows], aggregated[rows], lam).fused
        for lam in (0.0, fusion_weight)
    )

    def first(row: np.ndarray) -> list[tuple[str, str]]:
        found = features.gallery.iloc[top(row, HITS)]
        return list(zip(found["path"], found["category"], strict=True))

    return [
        plots.Strip(name, gain, first(one), first(other))
        for name, gain, one, other in zip(
            chosen["category"], chosen["gain"], by_text, fused, strict=True
        )
    ]


def evaluate(
    params: config.Params,
    features: Path = FEATURES,
    aggregator: Path = AGGREGATOR,
    accepted: Path = ACCEPTED,
    dataset: Path = DATASET,
    out: Path = EVALUATION,
) -> dict[str, Any]:
    """Evaluate the aggregator, and write the metrics, tables and plots to ``out``.

    Returns the content of ``metrics.json``. Raises :class:`EidolonError` when a file is missing or
    damaged.
    """
    found = Features.load(features)
    model = Aggregator.load(aggregator / "aggregator.safetensors")
    aggregated, fusion_weight = aggregate(model, found), model.fusion_weight
    gallery = build_index(found, aggregated, params.index.hubness_temperature)
    frame, curve = (
        per_category(found, gallery, aggregated, fusion_weight),
        sweep(found, gallery, aggregated, grid(params.train.fusion_weight_step)),
    )
    pictures, gaps = pictures_sweep(model, found, gallery), modality_gap(found)
    shown = best_and_worst(found, gallery, aggregated, fusion_weight, frame)
    kinds = by_kind(found, gallery, model, frame)
    metrics = summarise(frame, params.evaluate) | summarise_kinds(kinds, params.evaluate)
    metrics |= {"lambda": fusion_weight, "modality_gap": gaps}
    with folder_aside(out) as aside:
        written = {
            "per_category": frame,
            "per_kind": kinds,
            "sweep": curve,
            "pictures": pictures,
        }
        for name, table in written.items():
            tables.write(aside / f"{name}.csv", table.round(DIGITS))
        write_json(aside / "metrics.json", metrics)
        plots.gains(frame, aside / "gains.png")
        plots.fusion_weight_sweep(curve, fusion_weight, aside / "sweep.png")
        plots.pictures_sweep(pictures, aside / "pictures.png")
        plots.imagined_grid(accepted, dataset, aside / "imagined.png")
        plots.strips(shown, accepted, dataset, aside / "strips.png")
        plots.modality_gap(reported(found), gaps, aside / "modality_gap.png")
    return metrics
