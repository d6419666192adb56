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

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from components.learning import aggregator
from components.vectors import Array
from study import bases, networks
from study.bases import Base
from study.ranking import Method, Ranking, fused, mean_of
from study.world import PHOTOS, World


def given(world: World, pictures: Array) -> World:
    """``world`` with ``pictures`` (C, K, d_vision) as its accepted pictures; categories whose
    pictures are zero have none."""
    there = np.asarray(pictures.any(axis=2))
    return replace(world, features=replace(world.features, imagined=pictures, accepted=there))


def imagined(world: World) -> World:
    return world


def studio(world: World) -> World:
    return given(world, world.studio)


def photos(world: World) -> World:
    """As many real photos of a category as it has imagined pictures."""
    return given(world, world.photos[:, : world.features.imagined.shape[1]])


def many(world: World) -> World:
    return given(world, world.photos)


def alone(world: World, asked: World) -> Ranking:
    return fused(world.features.text, mean_of(asked.features), 1.0, world.hubness)


def mean(world: World, asked: World) -> Ranking:
    return bases.nothing(asked, Base(mean_of, world.hubness))


def network(world: World, asked: World) -> Ranking:
    """The default's network and λ, which were fitted to imagined pictures."""
    model = networks.shipped(world)
    image = aggregator.aggregate(model, asked.features)
    return fused(world.features.text, image, model.fusion_weight, world.hubness)


def network_again(world: World, asked: World) -> Ranking:
    return bases.nothing(asked, bases.default(world))


PICTURES: Mapping[str, Callable[[World], World]] = {
    "imagined": imagined,
    "studio": studio,
    "real photos": photos,
    f"{PHOTOS} real photos": many,
}

WAYS: Mapping[str, Callable[[World, World], Ranking]] = {
    "alone": alone,
    "mean, λ chosen again": mean,
    "network, its own λ": network,
    "network, λ chosen again": network_again,
}
"""Functions of a world and the same world with the pictures that ask: all correct for hubness."""


def _asking(pictures: str, way: str) -> Method:
    return lambda world: WAYS[way](world, PICTURES[pictures](world))


METHODS: dict[str, Method] = {
    f"{pictures}, {way}": _asking(pictures, way) for way in WAYS for pictures in PICTURES
}
