"""Baselines, and the paper's aggregator."""

from __future__ import annotations

import numpy as np

from study.networks import aggregated, in_batch_contrast, published, tuned
from study.ranking import Ranking, best_weight, fused, linear, weighted_mean
from study.world import World


def text_alone(world: World) -> Ranking:
    return linear(world.features.text, np.zeros_like(world.features.imagined[:, 0]), 0.0)


def text_corrected(world: World) -> Ranking:
    text, nothing = world.features.text, np.zeros_like(world.features.imagined[:, 0])
    return fused(text, nothing, 0.0, world.hubness)


def single_image(world: World) -> Ranking:
    return linear(world.features.text, world.features.imagined[:, 0], 1.0)


def mean_image(world: World) -> Ranking:
    return linear(world.features.text, weighted_mean(world), 1.0)


def mean_image_corrected(world: World) -> Ranking:
    return fused(world.features.text, weighted_mean(world), 1.0, world.hubness)


def joint(world: World) -> Ranking:
    """The plain sum of both scores: λ = 1/2 up to a factor."""
    return linear(world.features.text, weighted_mean(world), 0.5)


def fixed_tenth(world: World) -> Ranking:
    return linear(world.features.text, weighted_mean(world), 0.1)


def fixed_best(world: World) -> Ranking:
    return best_weight(world, world.features.text, weighted_mean(world))


def papers(world: World) -> Ranking:
    """Published architecture and initialisation; λ learned with it, by in-batch contrast."""
    return aggregated(world, tuned(world, published, in_batch_contrast, calibrated=False))


def papers_calibrated(world: World) -> Ranking:
    """As :func:`papers`, with λ chosen on validation categories."""
    return aggregated(world, tuned(world, published, in_batch_contrast))


def papers_corrected(world: World) -> Ranking:
    """As :func:`papers_calibrated`, with our correction for hubness."""
    return aggregated(world, tuned(world, published, in_batch_contrast), world.hubness)
