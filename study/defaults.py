"""What is shipped, and what it is without each of its parts."""

from __future__ import annotations

from functools import cache

from components.retrieval import train
from components.retrieval.aggregator import Aggregator
from study.ideas import expanded
from study.networks import aggregated, averaging, in_batch_contrast, published, tuned, untuned
from study.ranking import WEIGHTS, Ranking, best, fused, weighted_mean
from study.world import World


@cache
def shipped(world: World) -> Aggregator:
    """What the stage `train` makes, with the parameters of params.yaml."""
    return train.fit(world.features, world.train)[0]


def default(world: World) -> Ranking:
    return aggregated(world, shipped(world), world.train.hubness)


def default_expanded(world: World) -> Ranking:
    """The default, asking the gallery twice."""
    return expanded(world, default(world))


def uncorrected(world: World) -> Aggregator:
    """As :func:`shipped`, chosen without a correction for hubness."""
    return untuned(world, averaging, train.ranking_loss)


def hubness_stays(world: World) -> Ranking:
    return aggregated(world, uncorrected(world))


def contrast_instead(world: World) -> Ranking:
    strength = world.train.hubness
    model = untuned(world, averaging, in_batch_contrast, hubness=strength)
    return aggregated(world, model, strength)


def contrast_tuned(world: World) -> Ranking:
    strength = world.train.hubness
    model = tuned(world, averaging, in_batch_contrast, hubness=strength)
    return aggregated(world, model, strength)


def published_start_instead(world: World) -> Ranking:
    strength = world.train.hubness
    model = untuned(world, published, train.ranking_loss, hubness=strength)
    return aggregated(world, model, strength)


def published_start_tuned(world: World) -> Ranking:
    strength = world.train.hubness
    return aggregated(
        world, tuned(world, published, train.ranking_loss, hubness=strength), strength
    )


def mean_instead(world: World) -> Ranking:
    """The mean instead of the aggregator, λ chosen on validation."""
    text, image = world.features.text, weighted_mean(world)
    strength = world.train.hubness
    return best(world, (fused(text, image, lam, strength) for lam in WEIGHTS))
