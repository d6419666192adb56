"""Aggregators as they are trained for comparison."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from components.retrieval import train
from components.retrieval.aggregator import Aggregator
from components.retrieval.features import Features
from study.ranking import Ranking, fused
from study.world import World

GRID = tuple(itertools.product((2e-4, 1e-3), (0.05, 0.1)))  # learning rates, temperatures


def in_batch_contrast(
    scores: Tensor, positive: Tensor, temperature: float, rng: np.random.Generator
) -> Tensor:
    """The loss that CLIP is trained with (Radford et al., 2021), and what a reader of the paper
    would take: one real picture of each category of the batch, softmax both ways."""
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


def tuned(
    world: World,
    start: Callable[[World], Aggregator],
    *,
    loss: train.Loss | None = None,
    calibrated: bool = True,
    hubness: float = 0.0,
    features: Features | None = None,
) -> Aggregator:
    """The network with the best validation mAP of those trained from ``start`` with each learning
    rate and temperature of :data:`GRID`."""
    found = []
    for learning_rate, temperature in GRID:
        params = world.train.model_copy(
            update={
                "learning_rate": learning_rate,
                "temperature": temperature,
                "hubness": hubness,
            }
        )
        model, history = train.fit(
            features or world.features, params, start(world), loss=loss, calibrated=calibrated
        )
        found.append((float(history["validation_map"].max()), model))
    return max(found, key=lambda pair: pair[0])[1]


def aggregated(world: World, model: Aggregator, temperature: float = 0.0) -> Ranking:
    """``model`` with its own λ, corrected for hubness at ``temperature``."""
    image = train.aggregate(model, world.features)
    return fused(world.features.text, image, model.fusion_weight, temperature)
