"""The stage `evaluate`: mAP of text, image and fused ranking over the gallery, by split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from components.learning.intervals import DIGITS, Estimate, bootstrap, harmonic
from components.learning.metrics import average_precisions, mean_average_precision
from components.learning.selection import grid
from components.paths import ACCEPTED, AGGREGATOR, DATASET, EVALUATION, FEATURES
from components.vectors import Array

GROUPS = {"seen": ("train",), "validation": ("validation",), "unseen": ("unseen",)}
KINDS = ("text", "image", "fused")
ONLY = "_unseen_only"
STRIPS, HITS = 3, 12  # best and worst categories shown, and pictures of each


def per_category(
    features: Features, gallery: Gallery, aggregated: Array, fusion_weight: float
) -> pd.DataFrame:
    """One row per category that has gallery pictures: its AP by the ``text``, ``image`` and
    ``fused`` scores, and the ``gain`` of fused over text.

    ``aggregated`` (C, d_vision) is the aggregator's embedding of each category, ``fusion_weight``
    its λ. Text and image are the two ends of λ, so all three have the same correction for hubness.
    The whole gallery is searched: every category's pictures are distractors of the others. The
    columns ``*_unseen_only`` search the pictures of unseen categories alone, and only unseen
    categories have a value there. A category without an accepted imagined picture has no AP by
    image: NaN.
    """
    frame = features.categories.copy()
    labels, unseen = features.labels(features.gallery), features.rows("unseen")
    positive, among = labels[None, :] == np.arange(len(frame))[:, None], np.isin(labels, unseen)
    drawn = aggregated.any(axis=1)
    for kind, lam in zip(KINDS, (0.0, 1.0, fusion_weight), strict=True):
        scores = gallery.score(features.text, aggregated, lam).fused
        frame[kind] = average_precisions(scores, positive)
        frame[kind + ONLY] = np.nan
        frame.loc[unseen, kind + ONLY] = average_precisions(
            scores[unseen][:, among], positive[unseen][:, among]
        )
    frame.loc[~drawn, ["image", "image" + ONLY]] = np.nan
    frame["gain"] = frame["fused"] - frame["text"]
    return frame.dropna(subset=["fused"]).reset_index(drop=True)


def summarise(frame: pd.DataFrame, params: config.Evaluate) -> dict[str, Any]:
    """``{"map": {kind: {group: {mean, low, high}}}, "gain": {group: {mean, low, high}},
    "categories": {group: n}, "text_only": n}``.

    Groups are those of :data:`GROUPS`, ``unseen_only`` (the gallery has the unseen categories'
    pictures alone) and ``harmonic``, the harmonic mean of seen and unseen. ``low`` and ``high``
    bound the mean with 95 % over resamples of the categories; with fewer than ``min_categories``
    there are none. ``text_only`` counts the categories that are searched by text alone; the mean of
    ``image`` is over the others.
    """
    parts = {group: frame[frame["split"].isin(splits)] for group, splits in GROUPS.items()}

    def estimate(group: str, column: str) -> Estimate:
        return bootstrap(
            parts[group][column].to_numpy(dtype=np.float64),
            samples=params.bootstrap,
            seed=[params.seed, list(parts).index(group)],  # groups are resampled independently
            least=params.min_categories,
        )

    def estimates(kind: str) -> dict[str, Estimate]:
        found = {group: estimate(group, kind) for group in parts}
        return found | {
            "unseen_only": estimate("unseen", kind + ONLY),
            "harmonic": harmonic(found["seen"], found["unseen"]),
        }

    found = {kind: estimates(kind) for kind in KINDS}
    gain = {group: found["fused"][group] - found["text"][group] for group in found["fused"]}
    return {
        "map": {kind: _figures(groups) for kind, groups in found.items()},
        "gain": _figures(gain),
        "categories": {group: len(part) for group, part in parts.items()},
        "text_only": int(frame["image"].isna().sum()),
    }


def _figures(groups: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    return {group: estimate.figures() for group, estimate in groups.items()}


def sweep(
    features: Features, gallery: Gallery, aggregated: Array, weights: Sequence[float]
) -> pd.DataFrame:
    """Fused mAP at each fixed λ of ``weights``, by group: how sharp the choice of λ is."""
    labels = features.labels(features.gallery)
    rows = []
    for group, splits in GROUPS.items():
        chosen = np.concatenate([features.rows(s) for s in splits])
        positive = labels[None, :] == chosen[:, None]
        for lam in weights:
            fused = gallery.score(features.text[chosen], aggregated[chosen], lam).fused
            rows.append((group, lam, mean_average_precision(fused, positive)))
    return pd.DataFrame(rows, columns=["group", "lambda", "map"])


def pictures_sweep(model: Aggregator, features: Features, gallery: Gallery) -> pd.DataFrame:
    """Fused mAP with the first 1, 2, … K accepted pictures of each category, by group."""
    labels, order = features.labels(features.gallery), np.cumsum(features.accepted, axis=1)
    rows = []
    for count in range(1, features.imagined.shape[1] + 1):
        fewer = replace(features, accepted=features.accepted & (order <= count))
        aggregated = aggregate(model, fewer)
        for group, splits in GROUPS.items():
            chosen = np.concatenate([features.rows(s) for s in splits])
            fused = gallery.score(
                features.text[chosen], aggregated[chosen], model.fusion_weight
            ).fused
            positive = labels[None, :] == chosen[:, None]
            rows.append((group, count, mean_average_precision(fused, positive)))
    return pd.DataFrame(rows, columns=["group", "pictures", "map"])


def modality_gap(features: Features) -> dict[str, float]:
    """How far queries lie from the pictures that they should find, in each space: the distance of
    their means, in standard deviations of the pictures along it.

    ``text`` is the gap of Liang et al. (NeurIPS 2022): texts against gallery pictures in CLIP's
    space. ``imagined`` is what imagining puts in its place: imagined against gallery pictures in
    the vision encoder's.
    """
    drawn = features.imagined[features.accepted]
    gaps = {}
    for name, queries, pictures in (
        ("text", features.text, features.gallery_clip),
        ("imagined", drawn, features.gallery_vision),
    ):
        queries, pictures = queries.astype(np.float64), pictures.astype(np.float64)
        apart = queries.mean(axis=0) - pictures.mean(axis=0)
        distance = float(np.linalg.norm(apart))
        gaps[name] = round(distance / float((pictures @ (apart / distance)).std()), DIGITS)
    return gaps


def best_and_worst(
    features: Features,
    gallery: Gallery,
    aggregated: Array,
    fusion_weight: float,
    frame: pd.DataFrame,
) -> list[plots.Strip]:
    """The unseen categories that fusion helps most and least, with their first results."""
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
    """Write ``metrics.json``, ``per_category.csv``, ``sweep.csv`` and the pictures."""
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
    metrics = summarise(frame, params.evaluate)
    metrics |= {"lambda": fusion_weight, "modality_gap": gaps}
    with folder_aside(out) as aside:
        for name, table in (("per_category", frame), ("sweep", curve), ("pictures", pictures)):
            tables.write(aside / f"{name}.csv", table.round(DIGITS))
        write_json(aside / "metrics.json", metrics)
        plots.gains(frame, aside / "gains.png")
        plots.fusion_weight_sweep(curve, fusion_weight, aside / "sweep.png")
        plots.pictures_sweep(pictures, aside / "pictures.png")
        plots.imagined_grid(accepted, dataset, aside / "imagined.png")
        plots.strips(shown, accepted, dataset, aside / "strips.png")
        plots.modality_gap(found, gaps, aside / "modality_gap.png")
    return metrics
