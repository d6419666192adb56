"""Which epoch and which fusion weight are kept: those that are best for validation categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from components.features.features import Features
from components.index.gallery import Gallery
from components.learning.aggregator import Aggregator, aggregate
from components.learning.metrics import mean_average_precision

_SURE = 1e-7  # λ this close to 0 or 1 is stored: its logit is finite, and it rounds to the end


def grid(step: float) -> tuple[float, ...]:
    """The fusion weights that are tried: 0, ``step``, … 1."""
    count = round(1 / step)
    return tuple(i / count for i in range(count + 1))


@dataclass
class Selection:
    """Chooses an epoch and, among ``weights``, a λ: those with the best validation mAP. Without
    ``weights``, λ is the learned one, as in the paper.

    ``history`` gets a row per epoch: ``epoch``, ``loss``, ``learned`` (λ after the epoch's steps),
    ``lambda`` (the λ with the best validation mAP) and that ``validation_map``. ``best`` is the
    state of the network at the best epoch, with that λ.
    """

    weights: Sequence[float] = ()
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def look(self, model: Aggregator, features: Features, epoch: int, loss: float) -> None:
        """Take in the network after ``epoch``, which it leaves as it is."""
        weights = self.weights or (model.fusion_weight,)
        fusion_weight, found = calibrate(model, features, weights)
        row = {"epoch": epoch, "loss": loss, "learned": model.fusion_weight}
        self.history.append(row | {"lambda": fusion_weight, "validation_map": found})
        if self.waited == 0:
            self.best = {k: v.detach().clone() for k, v in model.state_dict().items()}
            self.best["lamda"] = torch.logit(torch.tensor([fusion_weight]), eps=_SURE)

    @property
    def waited(self) -> int:
        """Epochs since the best one; the first of equals is the best."""
        found = [row["validation_map"] for row in self.history]
        return len(found) - 1 - int(np.argmax(found))


def calibrate(
    model: Aggregator, features: Features, weights: Sequence[float]
) -> tuple[float, float]:
    """The λ of ``weights`` with the best fused mAP for the validation categories, and that mAP.

    It is measured over the training pictures, never over the gallery, and without a correction for
    hubness: λ also serves texts that get none.
    """
    aggregated, rows = aggregate(model, features), features.rows("validation")
    gallery = Gallery(features.training_clip, features.training_vision)
    positive = features.labels(features.training)[None, :] == rows[:, None]
    found = {
        lam: mean_average_precision(
            gallery.score(features.text[rows], aggregated[rows], lam).fused, positive
        )
        for lam in weights
    }
    best = max(found, key=lambda lam: found[lam])
    return best, found[best]
