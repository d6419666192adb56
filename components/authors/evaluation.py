"""The authors' evaluation on their own features: mAP of each way to rank the gallery.

Their script (github.com/faixan-khan/cletir) prints ``text`` and ``aggregated``; ``image``,
``joint`` and ``0.1`` are columns of results that it only stores. In those three the query is the
mean of the imagined pictures' features, of length one as the aggregator's output is. Scores are dot
products of features as stored, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.authors import layout
from components.authors.choices import Method, TextModel, VisionModel
from components.authors.layout import Features, Matrix, Stored
from components.errors import EidolonError
from components.index.blocks import blocks
from components.learning.aggregator import Aggregator
from components.learning.metrics import Bools, Ints, average_precisions
from components.progress import track

FIXED = 0.1
"""The authors' fixed fusion_weight of the image score."""


@dataclass(frozen=True)
class Report:
    """mAP by set and by kind of score, and the sets that were left out, each with why."""

    sets: dict[str, dict[str, float]]
    skipped: dict[str, str]

    @property
    def average(self) -> dict[str, float]:
        """The mean over the sets, of each kind."""
        kinds = next(iter(self.sets.values()))
        return {kind: float(np.mean([row[kind] for row in self.sets.values()])) for kind in kinds}

    def as_dict(self) -> dict[str, Any]:
        """``{"sets": {set: {kind: mAP}}, "average": {kind: mAP}, "skipped": {set: why}}``."""
        return {"sets": self.sets, "average": self.average, "skipped": self.skipped}


def evaluate(
    root: Path,
    model: TextModel,
    vision: VisionModel,
    method: Method,
    aggregator: Aggregator | None = None,
) -> Report:
    """Evaluate every set under ``root`` whose files are all there.

    Raises :class:`EidolonError` when there is none, or a file is damaged.
    """
    places = {name: layout.files(root, name, model, vision, method) for name in layout.SETS}
    missing = {name: files.missing() for name, files in places.items()}
    present = [name for name in layout.SETS if missing[name] is None]
    if not present:
        raise EidolonError(
            f"{root} holds none of the authors' sets for {model}, {vision} and {method}"
            f" ({missing[layout.SETS[0]]} is missing): give the folder that holds aggregator/"
        )
    sets = {}
    for name in track(present, "evaluate", "sets"):
        sets[name] = mean_average_precisions(layout.load(places[name]), aggregator)
    return Report(sets, {name: f"{path} is missing" for name, path in missing.items() if path})


def mean_average_precisions(features: Features, aggregator: Aggregator | None) -> dict[str, float]:
    """mAP of one set by kind of score, over the queries that have positives."""
    if not any(rows.size for rows in features.positive):
        raise EidolonError(
            f"{features.name} has no query with a picture to find: fetch the authors' features anew"
        )
    mean = _unit(np.stack([pictures.mean(axis=0) for pictures in features.images]))
    network = None if aggregator is None else deepcopy(aggregator).double()
    learned = None if network is None else _aggregate(network, features)
    fusion_weight = 0.0 if network is None else float(network.trainable_fusion_weight.detach())
    found: dict[str, list[Any]] = {}
    gallery = len(features.gallery_text)
    for rows in blocks(len(features.text), gallery):
        positive = _mask(features.positive[rows], gallery)
        junk = _mask(features.junk[rows], gallery) if any(map(len, features.junk[rows])) else None
        for kind, scores in _scores(features, mean, learned, fusion_weight, rows):
            found.setdefault(kind, []).append(average_precisions(scores, positive, junk))
    return {kind: float(np.nanmean(np.concatenate(parts))) for kind, parts in found.items()}


def _scores(
    features: Features, mean: Matrix, learned: Matrix | None, fusion_weight: float, rows: slice
) -> Iterator[tuple[str, Matrix]]:
    """Each kind of score, (queries of ``rows``, N); one product for each query vector."""
    text = _product(features.text[rows], features.gallery_text)
    image = _product(mean[rows], features.gallery_vision)
    yield "text", text
    yield "image", image
    yield "joint", text + image
    yield str(FIXED), (1 - FIXED) * text + FIXED * image
    if learned is not None:
        aggregated = _product(learned[rows], features.gallery_vision)
        yield "aggregated", (1 - fusion_weight) * text + fusion_weight * aggregated


def _product(queries: Matrix, gallery: Stored) -> Matrix:
    """(Q, N), in float64; the gallery is converted in parts, so that it need not fit in memory."""
    scores = np.empty((len(queries), len(gallery)))
    for rows in blocks(*gallery.shape):
        scores[:, rows] = queries @ gallery[rows].astype(np.float64).T
    return scores


def _aggregate(aggregator: Aggregator, features: Features) -> Matrix:
    """(Q, d): the network's vector of each query's pictures, in its precision."""
    images, dim = features.images, features.gallery_vision.shape[1]
    if dim != aggregator.dim:
        raise EidolonError(
            f"{features.name} has features of {dim} numbers and the checkpoint aggregates"
            f" {aggregator.dim}: give the checkpoint of the same vision model"
        )
    with torch.inference_mode():
        found = torch.cat([aggregator(torch.from_numpy(pictures)[None]) for pictures in images])
    if not found.any(dim=1).all():
        raise EidolonError(
            f"the checkpoint gives {features.name} vectors without a direction: give another one"
        )
    return found.numpy()


def _unit(vectors: Matrix) -> Matrix:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _mask(rows: list[Ints], gallery: int) -> Bools:
    mask = np.zeros((len(rows), gallery), dtype=np.bool_)
    for query, listed in enumerate(rows):
        mask[query, listed] = True
    return mask
