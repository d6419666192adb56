"""Aggregators that are trained for comparison."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from components.learning import aggregator, loss, selection, train
from components.learning.aggregator import Aggregator
from study.ranking import Ranking, fused
from study.world import World

GRID = tuple(itertools.product((2e-4, 1e-3), (0.05, 0.1)))  # learning rates, temperatures


def in_batch_contrast(
    scores: Tensor, positive: Tensor, temperature: float, rng: np.random.Generator
) -> Tensor:
    """CLIP's loss (Radford et al., 2021), which a reader of the paper would choose: one real
    picture of each category of the batch, and softmax in both directions."""
    chosen = [int(rng.choice(np.flatnonzero(row))) for row in positive.numpy()]
    logits, target = scores[:, chosen] / temperature, torch.arange(len(scores))
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def published(world: World) -> Aggregator:
    """The published architecture and initialisation."""
    torch.manual_seed(world.seed)
    return Aggregator(world.features.imagined.shape[2])


def averaging(world: World) -> Aggregator:
    """The published architecture, starting as the mean."""
    return train.new_aggregator(world.features, world.train)


@cache
def shipped(world: World) -> Aggregator:
    """The aggregator of the stage `train`, with the parameters of params.yaml."""
    return train.fit(world.features, world.train)[0]


Start = Callable[[World], Aggregator]


class Trained(NamedTuple):
    """A network and the validation mAP that it was chosen for."""

    validation_map: float
    model: Aggregator


@cache
def trained(
    world: World, start: Start, loss: loss.Loss, learning_rate: float, temperature: float
) -> dict[bool, Trained]:
    """The network of one run of training: the one chosen with the learned λ (False), and the one
    chosen with λ by validation (True)."""
    selections = {False: selection.Selection(), True: selection.Selection(world.weights)}
    params = world.train.model_copy(
        update={"learning_rate": learning_rate, "temperature": temperature}
    )
    model = start(world)
    train.follow(world.features, params, model, loss, list(selections.values()))
    return {calibrated: _chosen(model, found) for calibrated, found in selections.items()}


def _chosen(model: Aggregator, selection: selection.Selection) -> Trained:
    model = deepcopy(model)
    model.load_state_dict(selection.best)
    best = max(row["validation_map"] for row in selection.history)
    return Trained(best, model.eval())


def untuned(world: World, start: Start, loss: loss.Loss) -> Aggregator:
    """The network that is trained from ``start`` with the parameters of params.yaml."""
    found = trained(world, start, loss, world.train.learning_rate, world.train.temperature)
    return found[True].model


def tuned(world: World, start: Start, loss: loss.Loss, *, calibrated: bool = True) -> Aggregator:
    """The network with the best validation mAP, among those trained from ``start`` with each
    learning rate and temperature of :data:`GRID`."""
    found = [trained(world, start, loss, *pair)[calibrated] for pair in GRID]
    return max(found, key=lambda one: one.validation_map).model


def aggregated(world: World, model: Aggregator, temperature: float = 0.0) -> Ranking:
    """``model`` with its own λ, corrected for hubness at ``temperature``."""
    image = aggregator.aggregate(model, world.features)
    return fused(world.features.text, image, model.fusion_weight, temperature)
