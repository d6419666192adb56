"""The stage `train`: fit the aggregator and λ on features of the training categories.

The authors publish neither training set nor loss. Ours ranks: each real picture of a category must
come before all real pictures of the others, by the *fused* score. λ is learned with the network,
and then calibrated: text encoders know training categories too well, so the λ that is best for them
is not the best for new ones. The epoch and the λ with the best mAP on validation categories are
kept. What each of these choices is worth is measured by `make ablation` (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from components import config, tables
from components.errors import EidolonError
from components.files import folder_aside, write_json
from components.paths import AGGREGATOR, FEATURES
from components.progress import track
from components.retrieval.aggregator import Aggregator
from components.retrieval.features import Array, Features
from components.retrieval.metrics import mean_average_precision
from components.retrieval.search import Gallery

Rng = np.random.Generator
Loss = Callable[[Tensor, Tensor, float, Rng], Tensor]
WEIGHTS = tuple(round(0.05 * i, 2) for i in range(21))
_SURE = 1e-7  # λ this close to 0 or 1 is stored: its logit is finite, and it rounds to the end


def new_aggregator(features: Features, params: config.Train) -> Aggregator:
    """What training starts from: attention that averages."""
    torch.manual_seed(params.seed)
    model = Aggregator(features.imagined.shape[2])
    model.start_at_mean()
    return model


def ranking_loss(scores: Tensor, positive: Tensor, temperature: float, _: Rng) -> Tensor:
    """Mean over positive pictures ``p`` of ``-log(e^(s_p/τ) / (e^(s_p/τ) + Σ e^(s_n/τ)))``.

    ``n`` runs over the pictures of other categories: supervised contrast (Khosla et al., NeurIPS
    2020) without the other positives in the denominator, since they need not rank lower.
    ``scores`` (B, M) of B categories over all M training pictures, ``positive`` (B, M) bool, ``τ``
    the temperature.
    """
    logits = scores / temperature
    others = torch.logsumexp(logits.masked_fill(positive, -torch.inf), dim=1, keepdim=True)
    return (torch.logaddexp(logits, others) - logits)[positive].mean()


@dataclass
class Selection:
    """Chooses an epoch and a λ: those with the best validation mAP. Unless ``calibrated``, λ is the
    learned one, as in the paper.

    ``history`` gets a row per epoch: ``epoch``, ``loss``, ``learned`` (λ after the epoch's steps),
    ``lambda`` (the λ with the best validation mAP) and that ``validation_map``. ``best`` is the
    state of the network at the best epoch, with that λ.
    """

    calibrated: bool = True
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def look(self, model: Aggregator, features: Features, epoch: int, loss: float) -> None:
        """Take in the network after ``epoch``, which it leaves as it is."""
        weights = WEIGHTS if self.calibrated else (model.fusion_weight,)
        weight, found = calibrate(model, features, weights)
        row = {"epoch": epoch, "loss": loss, "learned": model.fusion_weight}
        self.history.append(row | {"lambda": weight, "validation_map": found})
        if self.waited == 0:
            self.best = {k: v.detach().clone() for k, v in model.state_dict().items()}
            self.best["lamda"] = torch.logit(torch.tensor([weight]), eps=_SURE)

    @property
    def waited(self) -> int:
        """Epochs since the best one; the first of equals is the best."""
        found = [row["validation_map"] for row in self.history]
        return len(found) - 1 - int(np.argmax(found))


def fit(
    features: Features, params: config.Train, model: Aggregator | None = None
) -> tuple[Aggregator, pd.DataFrame]:
    """Train on ``features`` and return the best aggregator and the history of its selection.

    ``model`` is what to start from, :func:`new_aggregator` by default. Seeded: on a CPU the same
    features and parameters give the same weights.

    Raises :class:`EidolonError` when the training or validation split has no categories.
    """
    model = new_aggregator(features, params) if model is None else model
    selection = Selection()
    follow(features, params, model, ranking_loss, [selection])
    model.load_state_dict(selection.best)
    return model.eval(), pd.DataFrame(selection.history)


def follow(
    features: Features,
    params: config.Train,
    model: Aggregator,
    loss: Loss,
    selections: Sequence[Selection],
) -> None:
    """Train ``model`` until each of ``selections`` has waited ``patience`` epochs for a better one.

    A selection does not touch the training, so one run serves several. Raises as :func:`fit`.
    """
    train, validation = features.rows("train"), features.rows("validation")
    train = train[features.accepted[train].any(1)]
    if train.size < 2 or validation.size == 0:
        raise EidolonError(
            f"{train.size} training and {validation.size} validation categories are too few"
            " to train on: add categories to the dataset"
        )
    torch.manual_seed(params.seed)
    rng = np.random.default_rng(params.seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    examples, looking = _Examples(features, train), list(selections)
    for epoch in track(range(params.epochs), "train", "epochs"):
        model.train()
        losses = [
            _step(model, optimiser, examples, loss, params, rng)
            for _ in range(params.steps_per_epoch)
        ]
        for selection in looking:
            selection.look(model, features, epoch, float(np.mean(losses)))
        looking = [selection for selection in looking if selection.waited < params.patience]
        if not looking:
            break


class _Examples:
    """Queries of all categories, and the training pictures of the categories ``rows``."""

    def __init__(self, features: Features, rows: np.ndarray) -> None:
        labels = features.labels(features.training)
        shown = np.isin(labels, rows)
        self.rows, self.labels = rows, labels[shown]
        self.clip = torch.from_numpy(features.training_clip[shown])
        self.vision = torch.from_numpy(features.training_vision[shown])
        self.text = torch.from_numpy(features.text)
        self.imagined = torch.from_numpy(features.imagined)
        self.accepted = torch.from_numpy(features.accepted)


def _step(
    model: Aggregator,
    optimiser: torch.optim.Optimizer,
    examples: _Examples,
    loss: Loss,
    params: config.Train,
    rng: Rng,
) -> float:
    """One step on a batch of categories, against all training pictures; gives the loss."""
    rows = rng.choice(examples.rows, size=min(params.batch, examples.rows.size), replace=False)
    lam = model.weight
    by_text = examples.text[rows] @ examples.clip.T
    by_image = model(examples.imagined[rows], examples.accepted[rows]) @ examples.vision.T
    scores = (1 - lam) * by_text + lam * by_image
    positive = torch.from_numpy(examples.labels == rows[:, None])
    value = loss(scores, positive, params.temperature, rng)
    optimiser.zero_grad()
    value.backward()
    optimiser.step()
    return float(value.detach())


def aggregate(model: Aggregator, features: Features) -> np.ndarray:
    """(C, d_vision): the vector of each category, zero where no picture was accepted."""
    model.eval()
    with torch.inference_mode():
        return model(
            torch.from_numpy(features.imagined), torch.from_numpy(features.accepted)
        ).numpy()


def searched(features: Features, image: Array, temperature: float) -> Gallery:
    """The gallery, corrected by the queries of all its categories.

    The bank holds every category that is searched, seen in training or not, so the correction
    prefers neither: each picture's own query is in it. ``image`` (C, d_vision) is what
    :func:`aggregate` gives.
    """
    known = np.unique(features.labels(features.gallery))
    return Gallery.among(
        features.gallery_clip,
        features.gallery_vision,
        features.text[known],
        image[known],
        temperature,
    )


def calibrate(
    model: Aggregator, features: Features, weights: Sequence[float] = WEIGHTS
) -> tuple[float, float]:
    """The λ of ``weights`` with the best fused mAP for the validation categories, and that mAP.

    It is measured over the training pictures, never over the gallery, and without a correction for
    hubness: λ also serves texts that get none.
    """
    image, rows = aggregate(model, features), features.rows("validation")
    gallery = Gallery(features.training_clip, features.training_vision)
    positive = features.labels(features.training)[None, :] == rows[:, None]
    found = {
        lam: mean_average_precision(
            gallery.score(features.text[rows], image[rows], lam).fused, positive
        )
        for lam in weights
    }
    best = max(found, key=lambda lam: found[lam])
    return best, found[best]


def train(params: config.Train, features: Path = FEATURES, out: Path = AGGREGATOR) -> pd.DataFrame:
    """Read features, fit, and write ``aggregator.safetensors``, ``history.csv``, ``train.json``."""
    model, history = fit(Features.load(features), params)
    best = history.iloc[int(history["validation_map"].argmax())]
    with folder_aside(out) as aside:
        model.save(aside / "aggregator.safetensors")
        tables.write(aside / "history.csv", history.round(6))  # what any processor has in common
        write_json(
            aside / "train.json",
            {
                "lambda": model.fusion_weight,
                "epoch": int(best["epoch"]),
                "epochs": len(history),
                "validation_map": float(best["validation_map"]),
            },
        )
    return history
