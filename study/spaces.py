"""Ideas that change the space in which queries and pictures are compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from components.features.features import Features
from components.vectors import Array, normalized
from study.bases import Base
from study.ranking import Pictures, Ranking, best, remembered, training_pictures
from study.world import World

SHARES = (0.0, 0.5, 1.0)  # of a mean that is taken off
STRENGTHS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the projection


def means_off(world: World, base: Base) -> Ranking:
    """The mean of each modality is taken off, in both spaces (GR-CLIP, arXiv 2507.19054).

    Texts lose the mean of the training categories' texts and CLIP's pictures that of training
    pictures; imagined and real pictures do the same in the vision encoder's space. The share of
    the means is chosen for each space.
    """
    features, on = world.features, _of_training(world.features)
    text, image = features.text, base.join(features)
    rows = features.rows("train")

    def ranked(by_clip: float, by_vision: float) -> list[Ranking]:
        @remembered
        def moved(to: Pictures) -> Pictures:
            return Pictures(
                _less(to.clip, by_clip * on.clip.mean(axis=0)),
                _less(to.vision, by_vision * on.vision.mean(axis=0)),
                to.labels,
            )

        return _through(
            moved,
            base.rankings(
                world,
                _less(text, by_clip * text[rows].mean(axis=0)),
                _less(image, by_vision * image[rows].mean(axis=0)),
            ),
        )

    return best(
        world,
        (ranking for pair in itertools.product(SHARES, SHARES) for ranking in ranked(*pair)),
    )


def projected(world: World, base: Base) -> Ranking:
    """Vision features projected so that imagined and real pictures of a category agree.

    After DMCL (arXiv 2601.20391), which trains the encoder for this, and QuARI (arXiv 2505.21647),
    which projects linearly. See :func:`invention`.
    """
    features = world.features
    text, image, invented = features.text, base.join(features), invention(features)

    def ranked(strength: float) -> list[Ranking]:
        away = ignoring(invented, strength)

        @remembered
        def moved(to: Pictures) -> Pictures:
            return Pictures(to.clip, normalized(to.vision @ away), to.labels)

        return _through(moved, base.rankings(world, text, normalized(image @ away)))

    return best(world, (ranking for strength in STRENGTHS for ranking in ranked(strength)))


def invention(features: Features) -> Array:
    """(d, d): the mean outer product of the differences between a category's imagined pictures and
    the mean of its real ones, over the training categories, with mean eigenvalue 1."""
    on = _of_training(features)
    rows = features.rows("train")
    real = np.stack([on.vision[on.labels == row].mean(axis=0) for row in rows])
    apart = (features.imagined[rows] - real[:, None])[features.accepted[rows]]
    scatter = apart.T @ apart
    found: Array = scatter / (np.trace(scatter) / len(scatter))
    return found


def ignoring(scatter: Array, strength: float) -> Array:
    """``(I + strength · scatter)^(-1/2)``, (d, d): shrinks the directions in which ``scatter`` is
    large, and is the identity at strength 0."""
    values, vectors = np.linalg.eigh(scatter.astype(np.float64))
    shrunk = (vectors / np.sqrt(1 + strength * np.maximum(values, 0))) @ vectors.T
    return shrunk.astype(np.float32)


def _through(moved: Callable[[Pictures], Pictures], rankings: Iterable[Ranking]) -> list[Ranking]:
    """``rankings`` of the pictures as ``moved`` changes them."""

    def of(ranking: Ranking) -> Ranking:
        return lambda on: ranking(moved(on))

    return [of(ranking) for ranking in rankings]


def _of_training(features: Features) -> Pictures:
    """The training pictures of training categories alone."""
    on = training_pictures(features)
    shown = np.isin(on.labels, features.rows("train"))
    return Pictures(on.clip[shown], on.vision[shown], on.labels[shown])


def _less(vectors: Array, mean: Array) -> Array:
    """``vectors`` (N, d) minus ``mean`` (d,), of length one; zero rows stay zero."""
    found: Array = normalized((vectors - mean) * vectors.any(axis=1, keepdims=True))
    return found
