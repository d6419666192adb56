"""Real pictures of a category as the query, instead of imagined ones.

They say what the encoders make of right pictures. This is no strict bound: a photo has clutter and
noise as the gallery's have, and a few of them have more of it than a few clean pictures. So many
photos are shown too. Studio pictures lie between imagined and real ones: they show the right
category, and are as clean as those that the generator learned from. They split the loss into wrong
or odd pictures (imagined against studio) and domain (studio against photos).

The pictures are drawn for this alone, also for training and validation categories: a query that is
among the ranked pictures would find itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from components.learning import aggregator
from components.vectors import Array
from study import baselines, defaults, networks
from study.ranking import Ranking, fused
from study.world import World


def given(world: World, pictures: Array) -> World:
    """``world`` with ``pictures`` (C, K, d_vision) as its accepted pictures; categories whose
    pictures are zero have none."""
    there = np.asarray(pictures.any(axis=2))
    features = replace(world.features, imagined=pictures, accepted=there)
    return replace(world, features=features)


def photos_alone(world: World) -> Ranking:
    return baselines.mean_image_corrected(given(world, _few(world)))


def studio_alone(world: World) -> Ranking:
    return baselines.mean_image_corrected(given(world, world.studio))


def photos_mean(world: World) -> Ranking:
    return defaults.mean_instead(given(world, _few(world)))


def studio_mean(world: World) -> Ranking:
    return defaults.mean_instead(given(world, world.studio))


def photos_fused(world: World) -> Ranking:
    return _fused(world, _few(world))


def studio_fused(world: World) -> Ranking:
    return _fused(world, world.studio)


def many_alone(world: World) -> Ranking:
    return baselines.mean_image_corrected(given(world, world.photos))


def many_mean(world: World) -> Ranking:
    return defaults.mean_instead(given(world, world.photos))


def many_fused(world: World) -> Ranking:
    return _fused(world, world.photos)


def _few(world: World) -> Array:
    """(C, K, d_vision): as many real photos of a category as it has imagined pictures."""
    return world.photos[:, : world.features.imagined.shape[1]]


def _fused(world: World, pictures: Array) -> Ranking:
    """``pictures`` with the default's network and λ, which were fitted to imagined pictures."""
    model = networks.shipped(world)
    image = aggregator.aggregate(model, given(world, pictures).features)
    return fused(world.features.text, image, model.fusion_weight, world.hubness)
