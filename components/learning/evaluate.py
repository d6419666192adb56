"""The stage `evaluate`: mAP of text, image and fused ranking over the gallery, by split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

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


class Measured(NamedTuple):
    """What there is to report: ``tables`` by the names of their files, the gap in each space, and
    the categories to show."""

    tables: dict[str, pd.DataFrame]
    modality_gap: dict[str, float]
    strips: list[plots.Strip]


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


def measure(features: Features, model: Aggregator, params: config.Params) -> Measured:
    """Rank the gallery by all the ways that are reported."""
    aggregated, fusion_weight = aggregate(model, features), model.fusion_weight
    gallery = build_index(features, aggregated, params.index.hubness_temperature)
    frame = per_category(features, gallery, aggregated, fusion_weight)
    weights = grid(params.train.fusion_weight_step)
    found = {
        "per_category": frame,
        "per_kind": by_kind(features, gallery, model, frame),
        "sweep": sweep(features, gallery, aggregated, weights),
        "pictures": pictures_sweep(model, features, gallery),
    }
    shown = best_and_worst(features, gallery, aggregated, fusion_weight, frame)
    return Measured(found, modality_gap(features), shown)


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
    measured = measure(found, model, params)
    tabled = measured.tables
    metrics = summarise(tabled["per_category"], params.evaluate)
    metrics |= summarise_kinds(tabled["per_kind"], params.evaluate)
    metrics |= {"lambda": model.fusion_weight, "modality_gap": measured.modality_gap}
    with folder_aside(out) as aside:
        for name, table in tabled.items():
            tables.write(aside / f"{name}.csv", table.round(DIGITS))
        write_json(aside / "metrics.json", metrics)
        plots.gains(tabled["per_category"], aside / "gains.png")
        plots.fusion_weight_sweep(tabled["sweep"], model.fusion_weight, aside / "sweep.png")
        plots.pictures_sweep(tabled["pictures"], aside / "pictures.png")
        plots.imagined_grid(accepted, dataset, aside / "imagined.png")
        plots.strips(measured.strips, accepted, dataset, aside / "strips.png")
        plots.modality_gap(reported(found), measured.modality_gap, aside / "modality_gap.png")
    return metrics
