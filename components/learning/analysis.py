"""How good each way to rank is: average precision by category and by group, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from components import config
from components.features.features import Features
from components.index.gallery import Gallery
from components.index.scoring import Way, scored
from components.kinds import CLASS
from components.learning.aggregator import Aggregator, aggregate
from components.learning.intervals import DIGITS, Estimate, bootstrap, harmonic
from components.learning.metrics import average_precisions, mean_precision
from components.learning.precisions import precisions
from components.vectors import Array, along

GROUPS = {"seen": ("train",), "validation": ("validation",), "unseen": ("unseen",)}
"""The splits of each group that is reported. None has the split `gate`."""

KINDS = ("text", "image", "fused")
ONLY = "_unseen_only"


def per_category(
    features: Features, gallery: Gallery, aggregated: Array, fusion_weight: float
) -> pd.DataFrame:
    """One row per category with gallery pictures: its average precision by each score. The gate's
    categories have none; their pictures are searched like all others.

    The scores are ``text`` (λ = 0), ``image`` (λ = 1) and ``fused`` (λ = ``fusion_weight``), all
    with the same correction for hubness. ``gain`` is fused minus text. ``aggregated`` (C, d_vision)
    holds the aggregated embeddings.

    The whole gallery is searched, so the pictures of every category are distractors for the others.
    The columns ``*_unseen_only`` search the pictures of unseen categories only, and are NaN for
    other categories. The AP by image is NaN for a category without accepted imagined pictures.
    """
    frame = features.categories.copy()
    labels, split = features.labels(features.gallery), frame["split"].to_numpy()
    unseen, among = split == "unseen", np.isin(labels, features.rows("unseen"))
    ways = [Way(gallery, aggregated, lam) for lam in (0.0, 1.0, fusion_weight)]
    found = np.full((2, len(ways), len(frame)), np.nan)
    for way, rows, scores in scored(features.text, ways):
        here = np.arange(rows.start, rows.stop)
        positive, some = labels[None, :] == here[:, None], unseen[rows]
        found[0, way, rows] = average_precisions(scores, positive)
        found[1, way, here[some]] = average_precisions(
            scores[some][:, among], positive[some][:, among]
        )
    for kind, everywhere, only in zip(KINDS, *found, strict=True):
        frame[kind], frame[kind + ONLY] = everywhere, only
    drawn = aggregated.any(axis=1)
    frame.loc[~drawn, ["image", "image" + ONLY]] = np.nan
    frame["gain"] = frame["fused"] - frame["text"]
    frame = frame[frame["split"] != "gate"]
    return frame.dropna(subset=["fused"]).reset_index(drop=True)


def estimates(frame: pd.DataFrame, params: config.Evaluate) -> dict[str, dict[str, Estimate]]:
    """The mean of each of :data:`KINDS` over the categories of ``frame``, by group: those of
    :data:`GROUPS`, ``unseen_only`` and ``harmonic``. Estimates of frames with the same categories
    can be subtracted."""
    parts = {group: frame[frame["split"].isin(splits)] for group, splits in GROUPS.items()}

    def estimate(group: str, column: str) -> Estimate:
        return bootstrap(
            parts[group][column].to_numpy(dtype=np.float64),
            samples=params.bootstrap,
            seed=[params.seed, list(parts).index(group)],  # groups are resampled independently
            least=params.min_categories,
        )

    def of(kind: str) -> dict[str, Estimate]:
        found = {group: estimate(group, kind) for group in parts}
        return found | {
            "unseen_only": estimate("unseen", kind + ONLY),
            "harmonic": harmonic(found["seen"], found["unseen"]),
        }

    return {kind: of(kind) for kind in KINDS}


def gains(found: dict[str, dict[str, Estimate]]) -> dict[str, Estimate]:
    """Fused minus text, by group."""
    return {group: found["fused"][group] - found["text"][group] for group in found["fused"]}


def summarise(frame: pd.DataFrame, params: config.Evaluate) -> dict[str, Any]:
    """``{"map": {kind: {group: {mean, low, high}}}, "gain": {group: {mean, low, high}},
    "categories": {group: n}, "text_only": n}``.

    The groups are those of :data:`GROUPS`, ``unseen_only`` (the gallery holds only pictures of
    unseen categories) and ``harmonic`` (the harmonic mean of seen and unseen). ``low`` and ``high``
    bound the 95 % bootstrap interval of the mean over categories. They are left out for fewer than
    ``min_categories`` categories. ``text_only`` counts the categories that are searched by text
    alone; the mean of ``image`` is over the others.
    """
    found = estimates(frame, params)
    return {
        "map": {kind: figures(groups) for kind, groups in found.items()},
        "gain": figures(gains(found)),
        "categories": {
            group: int(frame["split"].isin(splits).sum()) for group, splits in GROUPS.items()
        },
        "text_only": int(frame["image"].isna().sum()),
    }


def figures(groups: dict[str, Estimate]) -> dict[str, dict[str, float]]:
    """The figures of estimates, as they are kept."""
    return {group: estimate.figures() for group, estimate in groups.items()}


def sweep(
    features: Features, gallery: Gallery, aggregated: Array, weights: Sequence[float]
) -> pd.DataFrame:
    """Fused mAP at each fixed λ of ``weights``, by group. Shows how much the choice of λ matters.

    The columns are group, lambda and map.
    """
    labels, rows = features.labels(features.gallery), []
    for group, splits in GROUPS.items():
        chosen = np.concatenate([features.rows(s) for s in splits])
        images = aggregated[chosen]  # the same array for all, so that its product is made once
        ways = [Way(gallery, images, lam) for lam in weights]
        found = precisions(labels, chosen, features.text[chosen], ways)
        rows += [(group, lam, mean_precision(one)) for lam, one in zip(weights, found, strict=True)]
    return pd.DataFrame(rows, columns=["group", "lambda", "map"])


def pictures_sweep(model: Aggregator, features: Features, gallery: Gallery) -> pd.DataFrame:
    """Fused mAP with only the first 1, 2, … K accepted pictures of each category, by group.

    The columns are group, pictures and map.
    """
    labels, order = features.labels(features.gallery), np.cumsum(features.accepted, axis=1)
    counts = range(1, features.imagined.shape[1] + 1)
    fewer = [
        aggregate(model, replace(features, accepted=features.accepted & (order <= count)))
        for count in counts
    ]
    maps: dict[tuple[str, int], float] = {}
    for group, splits in GROUPS.items():
        chosen = np.concatenate([features.rows(s) for s in splits])
        ways = [Way(gallery, one[chosen], model.fusion_weight) for one in fewer]
        found = precisions(labels, chosen, features.text[chosen], ways)
        maps |= {
            (group, count): mean_precision(one) for count, one in zip(counts, found, strict=True)
        }
    rows = [(group, count, maps[group, count]) for count in counts for group in GROUPS]
    return pd.DataFrame(rows, columns=["group", "pictures", "map"])


def reported(features: Features) -> Features:
    """``features`` without the queries of the gate's categories."""
    rows = np.flatnonzero(features.categories["split"] != "gate")
    return replace(
        features.of(CLASS),
        categories=features.categories.iloc[rows].reset_index(drop=True),
        text=features.text[rows],
        imagined=features.imagined[rows],
        accepted=features.accepted[rows],
    )


def modality_gap(features: Features) -> dict[str, float]:
    """The gap between queries and the pictures that they should find, in each space.

    It is the distance between their means, in standard deviations of the pictures along the line
    between the means. ``text`` is the gap of Liang et al. (NeurIPS 2022), between texts and gallery
    pictures in CLIP's space. ``imagined`` is the gap that replaces it, between imagined and gallery
    pictures in the vision encoder's space. The queries of the gate's categories do not count.
    """
    asked = reported(features)
    gaps = {}
    for name, queries, pictures in (
        ("text", asked.text, features.gallery_clip),
        ("imagined", asked.imagined[asked.accepted], features.gallery_vision),
    ):
        apart = queries.mean(axis=0, dtype=np.float64) - pictures.mean(axis=0, dtype=np.float64)
        distance = float(np.linalg.norm(apart))
        gaps[name] = round(distance / float(along(pictures, apart / distance).std()), DIGITS)
    return gaps
