"""The stage `train`: fits the aggregator and λ to the features of the training categories.

The authors publish neither their training set nor their loss. The loss here is a ranking loss: by
the *fused* score, each real picture of a category must rank above all real pictures of the others.
λ is learned with the network and then calibrated. Text encoders know the training categories too
well, so the best λ for those is not the best for new ones. The epoch and the λ with the best mAP on
validation categories are kept. `make ablation` measures the effect of each of these choices
(docs/results.md).

Where categories have descriptions, each step asks for each category by its name, a description, or
both, as chance has it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from components import config, tables
from components.arrays import create
from components.errors import EidolonError
from components.features.features import Features
from components.files import folder_aside, write_json
from components.learning.aggregator import Aggregator
from components.learning.loss import Loss, Rng, ranking_loss
from components.learning.selection import Selection, grid
from components.paths import AGGREGATOR, FEATURES
from components.progress import track
from components.vectors import Array


def new_aggregator(features: Features, params: config.Train) -> Aggregator:
    """The aggregator that training starts from: its attention averages the features."""
    torch.manual_seed(params.seed)
    model = Aggregator(features.imagined.shape[2])
    model.start_at_mean()
    return model


def fit(
    features: Features, params: config.Train, model: Aggregator | None = None
) -> tuple[Aggregator, pd.DataFrame]:
    """Train on ``features``, and return the best aggregator and the history of all epochs.

    Training starts from ``model``, by default :func:`new_aggregator`. It is seeded: on a CPU the
    same features and parameters give the same weights. On an accelerator, last digits may differ.

    Raises :class:`EidolonError` when there are fewer than two training categories with accepted
    pictures, or no validation categories.
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
    """Train ``model`` until none of ``selections`` has improved for ``patience`` epochs. It is on
    the CPU before and after.

    Selections do not influence the training, so one run serves several. Raises what :func:`fit`
    raises.
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
    device = torch.device("cuda" if params.accelerator and torch.cuda.is_available() else "cpu")
    model.to(device)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    examples, looking = _Examples(features, train, device), list(selections)
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
    model.cpu()


class _Examples:
    """The queries of all categories by kind, and the training pictures of the categories ``rows``:
    tensors on ``device``."""

    def __init__(self, features: Features, rows: np.ndarray, device: torch.device) -> None:
        def there(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        labels = features.labels(features.training)
        shown = np.flatnonzero(np.isin(labels, rows))
        self.rows, self.labels = rows, labels[shown]
        self.clip = there(_on_disk(features.training_clip, shown))
        self.vision = there(_on_disk(features.training_vision, shown))
        kinds = [features.of(kind) for kind in features.kinds]
        self.text = there(np.stack([of.text for of in kinds]))
        self.imagined = there(np.stack([of.imagined for of in kinds]))
        self.accepted = there(np.stack([of.accepted for of in kinds]))
        self._usable = np.stack([of.asked() & of.accepted.any(axis=1) for of in kinds])

    def kinds(self, rows: np.ndarray, rng: Rng) -> np.ndarray:
        """A kind of query for each of the categories ``rows``, by chance; by name for those without
        pictures of that kind."""
        if len(self._usable) == 1:
            return np.zeros(len(rows), dtype=np.intp)
        chosen = rng.integers(len(self._usable), size=len(rows))
        return np.where(self._usable[chosen, rows], chosen, 0)


def _on_disk(array: Array, rows: np.ndarray) -> Array:
    """The ``rows`` of ``array`` (M, D), mapped from a temporary file that has no name any more. A
    million rows of both encoders take 7 GB, which the system can so take back when it needs memory.
    """
    with tempfile.TemporaryDirectory() as place:
        shape = len(rows), array.shape[1]
        found: Array = create(Path(place, "rows"), {"rows": (shape, array.dtype)})["rows"]
    return np.take(array, rows, axis=0, out=found, mode="clip")  # any other mode makes a copy


def _step(
    model: Aggregator,
    optimiser: torch.optim.Optimizer,
    examples: _Examples,
    loss: Loss,
    params: config.Train,
    rng: Rng,
) -> float:
    """Do one step on a batch of categories, against all training pictures. Returns the loss."""
    rows = rng.choice(examples.rows, size=min(params.batch, examples.rows.size), replace=False)
    lam = model.trainable_fusion_weight
    asked = examples.kinds(rows, rng), rows
    by_text = examples.text[asked] @ examples.clip.T
    by_image = model(examples.imagined[asked], examples.accepted[asked]) @ examples.vision.T
    scores = (1 - lam) * by_text + lam * by_image
    positive = torch.from_numpy(examples.labels == rows[:, None]).to(scores.device)
    value = loss(scores, positive, params.temperature, rng)
    optimiser.zero_grad()
    value.backward()
    optimiser.step()
    return float(value.detach())


def train(params: config.Train, features: Path = FEATURES, out: Path = AGGREGATOR) -> pd.DataFrame:
    """Train on the stored features, and write the aggregator, its history and a summary to ``out``.

    The files are ``aggregator.safetensors``, ``history.csv`` and ``train.json``. Returns the
    history. Raises :class:`EidolonError` as :meth:`Features.load` and :func:`fit` do.
    """
    model, history = fit(Features.load(features), params)
    best = history.iloc[int(history["validation_map"].argmax())]
    with folder_aside(out) as aside:
        model.save(aside / "aggregator.safetensors")
        tables.write(aside / "history.csv", history.round(6))  # decimals equal on every processor
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
