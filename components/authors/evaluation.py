"""The authors' evaluation on their own features: the mAP of each way to rank the gallery.

Their script (github.com/faixan-khan/cletir) prints ``text`` and ``aggregated``. It stores
``image``, ``joint`` and ``0.1`` as further columns. For those three, the query is the mean of the
imagined pictures' features, scaled to length one like the aggregator's output. Scores are dot
products in float64 of the features as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import groupby
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
from components.vectors import normalized

FIXED = 0.1
"""The authors' fixed fusion weight of the image score."""
_TOGETHER = 32  # queries that are aggregated at once, which takes a sixth of the time of one by one
_ROWS = 2**11  # gallery rows that are converted at once: 16 MiB of 1,024 numbers


@dataclass(frozen=True)
class Report:
    """The mAP by set and kind of score, and the sets that were skipped, each with the reason."""

    sets: dict[str, dict[str, float]]
    skipped: dict[str, str]

    @property
    def average(self) -> dict[str, float]:
        """The mean over the sets, for each kind of score."""
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
    """Evaluate every set under ``root`` that is complete.

    Raises :class:`EidolonError` when no set is complete, or a file is damaged.
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
    """The mAP of one set by kind of score, over the queries with positives.

    Raises :class:`EidolonError` when no query has positives, or the ``aggregator`` does not fit the
    features.
    """
    if not any(rows.size for rows in features.positive):
        raise EidolonError(
            f"{features.name} has no query with a picture to find: fetch the authors' features"
            " again"
        )
    mean = normalized(np.stack([pictures.mean(axis=0) for pictures in features.images]))
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
    """Each kind of score, with its name: (queries of ``rows``, N).

    ``mean`` (Q, d) and ``learned`` (Q, d) are the mean and the aggregated embedding of each query's
    imagined pictures. Each product with the gallery is computed once.
    """
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
    """All dot products (Q, N) in float64. The gallery is converted in parts that stay in the
    processor's cache, which saves up to half of the time."""
    scores = np.empty((len(queries), len(gallery)))
    for first in range(0, len(gallery), _ROWS):
        rows = slice(first, first + _ROWS)
        scores[:, rows] = queries @ gallery[rows].astype(np.float64).T
    return scores


def _aggregate(aggregator: Aggregator, features: Features) -> Matrix:
    """The aggregated embedding of each query's pictures: (Q, d), in the network's precision."""
    images, dim = features.images, features.gallery_vision.shape[1]
    if dim != aggregator.dim:
        raise EidolonError(
            f"{features.name} has features of {dim} numbers and the checkpoint aggregates"
            f" {aggregator.dim}: use the checkpoint of the same vision model"
        )
    with torch.inference_mode():
        found = torch.cat([aggregator(torch.from_numpy(together)) for together in _stacks(images)])
    if not found.any(dim=1).all():
        raise EidolonError(
            f"the checkpoint gives {features.name} vectors without a direction, that is, zeros:"
            " use another checkpoint"
        )
    return found.numpy()


def _stacks(images: list[Matrix]) -> Iterator[Matrix]:
    """The ``images`` in their order, as (B, K, d): neighbours with the same K, and B at most 32."""
    for first in range(0, len(images), _TOGETHER):
        for _, alike in groupby(images[first : first + _TOGETHER], key=len):
            yield np.stack(list(alike))


def _mask(rows: list[Ints], gallery: int) -> Bools:
    mask = np.zeros((len(rows), gallery), dtype=np.bool_)
    for query, listed in enumerate(rows):
        mask[query, listed] = True
    return mask
