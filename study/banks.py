"""Which queries should measure a picture's hubness: candidates for the query bank.

A bank of the training categories alone contains the own query of each seen picture, and of no
unseen picture. It corrects seen pictures more, which by itself raises the mAP of unseen categories.
So each candidate is shown with the difference between the two corrections. The choice is made where
nothing can be gained by that difference: on validation categories among their own pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import hmean

from components.index.gallery import Gallery
from components.index.hubness import hubness
from components.learning import aggregator
from components.learning.metrics import mean_average_precision
from components.vectors import Array
from study import covering, networks
from study.ideas import TEMPERATURES
from study.ranking import (
    Pictures,
    Ranking,
    Rows,
    gallery_pictures,
    training_pictures,
    validation_map,
)
from study.world import World

Bank = Callable[[World, Array, Array, Pictures, float], Array]
"""A function of queries (C, d) of all rows, pictures (N, d) in the same space, what is known of the
pictures, and a temperature. It returns the pictures' hubness (N,)."""


class Choice(NamedTuple):
    """A bank's ranking, and the ``difference`` between its mean corrections of seen and of unseen
    gallery pictures."""

    ranking: Ranking
    difference: float


def none(_: World, __: Array, pictures: Array, ___: Pictures, ____: float) -> Array:
    return np.zeros(len(pictures), dtype=np.float32)


def training_names(
    world: World, queries: Array, pictures: Array, _: Pictures, temperature: float
) -> Array:
    return hubness(queries[world.features.rows("train")], pictures, temperature)


def all_names(_: World, queries: Array, pictures: Array, on: Pictures, temperature: float) -> Array:
    """The bank that is shipped."""
    return hubness(queries[on.known], pictures, temperature)


def best_left_out(
    _: World, queries: Array, pictures: Array, on: Pictures, temperature: float
) -> Array:
    """All names but the one that is nearest to the picture, which is mostly its own."""
    similar = pictures @ queries[on.known].T
    similar.sort(axis=1)
    return _soft_maximum(similar[:, :-1], temperature)


def own_left_out(
    _: World, queries: Array, pictures: Array, on: Pictures, temperature: float
) -> Array:
    """All names but the picture's own, by its label. This is a control, since a gallery has no
    labels."""
    similar = pictures @ queries[on.known].T
    own = on.labels[:, None] == on.known[None, :]
    return _soft_maximum(similar[~own].reshape(len(similar), -1), temperature)


def covering_texts(
    world: World, queries: Array, pictures: Array, _: Pictures, temperature: float
) -> Array:
    """Texts of a colour and a shape, which are not names of categories: each picture fits one of
    them."""
    return hubness(queries[world.features.rows(covering.SPLIT)], pictures, temperature)


def mean_query(_: World, queries: Array, pictures: Array, on: Pictures, __: float) -> Array:
    """The limit of a high temperature: the similarity to the mean of all queries is subtracted."""
    return pictures @ queries[on.known].mean(axis=0)


def _soft_maximum(similar: Array, temperature: float) -> Array:
    tau = np.float32(temperature * similar.std())
    highest = similar.max(axis=1)
    return highest + tau * np.log(np.exp((similar - highest[:, None]) / tau).mean(axis=1))


SHIPPED = "all categories"

BANKS: Mapping[str, Bank] = {
    "none": none,
    "training categories": training_names,
    SHIPPED: all_names,
    "all categories, the nearest left out": best_left_out,
    "all categories, the mean query": mean_query,
    "texts of colour and shape": covering_texts,
    "control: all categories but the picture's own, by its label": own_left_out,
}


def choose(world: World, bank: Bank) -> Choice:
    """``bank`` with the default's network and λ, and with the temperature that is best on
    validation categories."""
    model, text = networks.shipped(world), world.features.text
    image, fusion_weight = aggregator.aggregate(model, world.features), model.fusion_weight

    def gallery(on: Pictures, temperature: float) -> Gallery:
        by_text = bank(world, text, on.clip, on, temperature)
        return Gallery(on.clip, on.vision, by_text, bank(world, image, on.vision, on, temperature))

    def ranked(temperature: float) -> Ranking:
        return lambda on: gallery(on, temperature).score(text, image, fusion_weight).fused

    temperature = max(TEMPERATURES, key=lambda value: validation_map(world, ranked(value)))
    on = gallery_pictures(world.features)
    subtracted = gallery(on, temperature).score(text[:1], image[:1], fusion_weight).hubness[0]
    seen, unseen = (np.isin(on.labels, world.features.rows(split)) for split in ("train", "unseen"))
    difference = float(subtracted[seen].mean() - subtracted[unseen].mean())
    return Choice(ranked(temperature), difference)


def offset(world: World, ranking: Ranking) -> Ranking:
    """``ranking`` with a constant subtracted from the scores of pictures of training categories.

    This is calibrated stacking (Chao et al., "An Empirical Study and Analysis of Generalized
    Zero-Shot Learning for Object Recognition in the Wild", ECCV 2016). The constant is the best of
    0 to 1 standard deviations of the scores, by the harmonic mean of training and validation
    categories over the training pictures. It needs the pictures' labels, so it is a control and not
    a method: it shows how much is gained by lowering the scores of seen pictures alone.
    """
    on = training_pictures(world.features)
    scores = ranking(on)
    spread = float(scores[on.known].std())
    seen = world.features.rows("train")

    def less(constant: float, given: Array, labels: Rows) -> Array:
        return (given - constant * np.isin(labels, seen)).astype(np.float32)

    constant = max(
        (share * spread for share in np.linspace(0, 1, 21)),
        key=lambda value: _harmonic(world, less(value, scores, on.labels)),
    )
    return lambda on: less(constant, ranking(on), on.labels)


def _harmonic(world: World, scores: Array) -> float:
    """Harmonic mean of the mAP of training and of validation categories, by ``scores`` of the
    training pictures."""
    labels = training_pictures(world.features).labels
    groups = (world.features.rows(split) for split in ("train", "validation"))
    maps = [mean_average_precision(scores[rows], labels == rows[:, None]) for rows in groups]
    return float(hmean(maps))
