"""The default that is shipped, and the default without each of its parts."""

from __future__ import annotations

from components.learning import loss
from study.ideas import expanded
from study.networks import (
    aggregated,
    averaging,
    in_batch_contrast,
    published,
    shipped,
    tuned,
    untuned,
)
from study.ranking import Ranking, fused, linear, validation_map, weighted_mean
from study.world import World


def default(world: World) -> Ranking:
    return aggregated(world, shipped(world), world.hubness)


def default_expanded(world: World) -> Ranking:
    """The default with query expansion, which searches the gallery twice."""
    return expanded(world, default(world))


def not_corrected(world: World) -> Ranking:
    return aggregated(world, shipped(world))


def contrast_instead(world: World) -> Ranking:
    return aggregated(world, untuned(world, averaging, in_batch_contrast), world.hubness)


def contrast_tuned(world: World) -> Ranking:
    return aggregated(world, tuned(world, averaging, in_batch_contrast), world.hubness)


def published_start_instead(world: World) -> Ranking:
    return aggregated(world, untuned(world, published, loss.ranking_loss), world.hubness)


def published_start_tuned(world: World) -> Ranking:
    return aggregated(world, tuned(world, published, loss.ranking_loss), world.hubness)


def mean_instead(world: World) -> Ranking:
    """The mean instead of the aggregator, with λ chosen on validation categories like the
    default's."""
    text, image = world.features.text, weighted_mean(world)
    fusion_weight = max(
        world.weights, key=lambda lam: validation_map(world, linear(text, image, lam))
    )
    return fused(text, image, fusion_weight, world.hubness)
