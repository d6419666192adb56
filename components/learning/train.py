"""The stage `train`: fit the aggregator and λ on features of the training categories.

The authors publish neither training set nor loss. Ours ranks: each real picture of a category must
come before all real pictures of the others, by the *fused* score. λ is learned with the network,
and then calibrated: text encoders know training categories too well, so the λ that is best for them
is not the best for new ones. The epoch and the λ with the best mAP on validation categories are
kept. What each of these choices is worth is measured by `make ablation` (docs/results.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from components import config, tables
from components.errors import EidolonError
from components.features.features import Features
from components.files import folder_aside, write_json
from components.learning.aggregator import Aggregator
from components.learning.loss import Loss, Rng, ranking_loss
from components.learning.selection import Selection, grid
from components.paths import AGGREGATOR, FEATURES
from components.progress import track


def new_aggregator(features: Features, params: config.Train) -> Aggregator:
    """What training starts from: attention that averages."""
    torch.manual_seed(params.seed)
    model = Aggregator(features.imagined.shape[2])
    model.start_at_mean()
    return model


def fit(
    features: Features, params: config.Train, model: Aggregator | None = None
) -> tuple[Aggregator, pd.DataFrame]:
    """Train on ``features`` and return the best aggregator and the history of its selection.

    ``model`` is what to start from, :func:`new_aggregator` by default. Seeded: on a CPU the same
    features and parameters give the same weights.

    Raises :class:`EidolonError` when the training or validation split has no categories.
    """
    model = new_aggregator(features, params) if model is None else model
    selection = Selection(grid(params.fusion_weight_step))
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
    lam = model.trainable_fusion_weight
    by_text = examples.text[rows] @ examples.clip.T
    by_image = model(examples.imagined[rows], examples.accepted[rows]) @ examples.vision.T
    scores = (1 - lam) * by_text + lam * by_image
    positive = torch.from_numpy(examples.labels == rows[:, None])
    value = loss(scores, positive, params.temperature, rng)
    optimiser.zero_grad()
    value.backward()
    optimiser.step()
    return float(value.detach())


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
