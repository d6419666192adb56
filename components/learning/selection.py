"""Selects the epoch and the fusion weight λ that are best for the validation categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from components.features.features import Features
from components.index.gallery import Gallery
from components.index.scoring import Way
from components.kinds import Kind
from components.learning.aggregator import Aggregator, aggregate
from components.learning.metrics import mean_precision
from components.learning.precisions import Rows, precisions

_EPSILON = 1e-7  # λ stays this far from 0 and 1, so that its logit is finite; it is rounded later


def grid(step: float) -> tuple[float, ...]:
    """The fusion weights that are tried: 0, ``step``, … 1."""
    count = round(1 / step)
    return tuple(i / count for i in range(count + 1))


@dataclass
class Selection:
    """Selects the epoch and the λ with the best validation mAP, among ``weights``.

    Without ``weights``, λ is the learned one, as in the paper. ``history`` has a row per epoch:
    ``epoch``, ``loss``, ``learned`` (λ after the epoch's steps), ``lambda`` (the λ with the best
    validation mAP) and ``validation_map`` (that mAP). ``best`` is the state of the network after
    the best epoch, with its ``lambda``.
    """

    weights: Sequence[float] = ()
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def look(self, model: Aggregator, features: Features, epoch: int, loss: float) -> None:
        """Measure the network after ``epoch``, without changing it, and keep it if it is best."""
        weights = self.weights or (model.fusion_weight,)
        fusion_weight, found = calibrate(model, features, weights)
        row = {"epoch": epoch, "loss": loss, "learned": model.fusion_weight}
        self.history.append(row | {"lambda": fusion_weight, "validation_map": found})
        if self.waited == 0:
            self.best = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
            self.best["lamda"] = torch.logit(torch.tensor([fusion_weight]), eps=_EPSILON)

    @property
    def waited(self) -> int:
        """The number of epochs since the best one. Of equal epochs, the first is the best."""
        found = [row["validation_map"] for row in self.history]
        return len(found) - 1 - int(np.argmax(found))


def calibrate(
    model: Aggregator, features: Features, weights: Sequence[float]
) -> tuple[float, float]:
    """The λ of ``weights`` with the best fused mAP for the validation categories, and that mAP.

    Where there are descriptions, it is the mean of the mAPs of all kinds of query. The mAP is over
    the training pictures, never over the gallery. It has no correction for hubness, because λ must
    also suit texts that get none.
    """
    rows = features.rows("validation")
    kinds = [_maps(model, features, kind, rows, weights) for kind in features.kinds]
    found = np.mean([maps for maps in kinds if maps is not None], axis=0)
    best = int(found.argmax())
    return weights[best], float(found[best])


def _maps(
    model: Aggregator, features: Features, kind: Kind, rows: Rows, weights: Sequence[float]
) -> list[float] | None:
    """The fused mAP of the categories ``rows`` by each of ``weights``; ``None`` where none of them
    has a query of that ``kind``."""
    queries = features.queries(kind, rows)
    if not queries.exist.any():
        return None
    rows, queries = rows[queries.exist], queries.of(queries.exist)
    gallery = Gallery(features.training_clip, features.training_vision)
    aggregated = aggregate(model, queries)
    ways = [Way(gallery, aggregated, lam) for lam in weights]
    found = precisions(features.labels(features.training), rows, queries.text, ways)
    return [mean_precision(one) for one in found]
