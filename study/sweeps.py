"""The default on unseen categories, with more or fewer imagined pictures and sampler steps."""

from __future__ import annotations

import numpy as np
import torch

from components.index import build
from components.learning import aggregator
from components.learning.aggregator import Aggregator
from components.learning.metrics import average_precisions
from components.vectors import Array
from study.world import World


def unseen_map(world: World, model: Aggregator, imagined: Array) -> float:
    """Fused mAP of the unseen categories with ``imagined`` (U, n, d_vision) as their pictures."""
    features = world.features
    rows = features.rows("unseen")
    model.eval()
    with torch.inference_mode():
        image = model(torch.from_numpy(np.ascontiguousarray(imagined))).numpy()
    known = aggregator.aggregate(model, features)
    gallery = build.build_index(features, known, world.hubness)
    fused = gallery.score(features.text[rows], image, model.fusion_weight).fused
    positive = features.labels(features.gallery)[None, :] == rows[:, None]
    return float(average_precisions(fused, positive).mean())


def counts(world: World, model: Aggregator) -> dict[int, float]:
    """mAP by the number of pictures, K."""
    return {n: unseen_map(world, model, drawn) for n, drawn in world.by_count.items()}


def steps(world: World, model: Aggregator) -> dict[int, float]:
    """mAP by the sampler's steps."""
    return {n: unseen_map(world, model, drawn) for n, drawn in world.by_steps.items()}
