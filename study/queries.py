"""Ideas about which pictures make a query, and how their rankings are joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from components.index.hubness import hubness
from components.vectors import Array
from study.bases import Base
from study.ideas import agreement
from study.ranking import Pictures, Ranking, Rows, best, remembered
from study.world import World

CONSTANTS = (10, 30, 60)  # of reciprocal ranks; 60 is that of Cormack et al. (SIGIR 2009)
QUANTILES = (0.0, 0.1, 0.25, 0.5)


def rank_fusion(world: World, base: Base) -> Ranking:
    """The sum of ``1 / (c + rank)`` over the rankings by text and by each picture (VisRet, arXiv
    2505.20291; reciprocal rank fusion, Cormack et al., SIGIR 2009).

    Pictures share the weight λ, text has 1 - λ. c and λ are chosen on validation.
    """
    features = world.features
    shares = features.accepted / np.maximum(features.accepted.sum(axis=1, keepdims=True), 1)

    @remembered
    def ranks(on: Pictures) -> list[Array]:
        streams = [(features.text, on.clip)]
        streams += [(features.imagined[:, k], on.vision) for k in range(shares.shape[1])]
        return [_ranks(*stream, on.known, base.temperature) for stream in streams]

    def joined(constant: int, lam: float) -> Ranking:
        def rank(on: Pictures) -> Array:
            by_text, *by_pictures = ranks(on)
            scores = (1 - lam) / (constant + by_text)
            for k, by in enumerate(by_pictures):
                scores += lam * shares[:, k, None] / (constant + by)
            return scores.astype(np.float32)

        return rank

    return best(world, (joined(c, lam) for c in CONSTANTS for lam in world.weights))


def _ranks(queries: Array, pictures: Array, known: Rows, temperature: float) -> Array:
    """The rank (C, N) of each picture by each query, from 1; known queries are corrected."""
    scores = queries @ pictures.T
    scores[known] -= hubness(queries[known], pictures, temperature)
    places = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return (places + 1).astype(np.float32)


def pictures_by_agreement(world: World, base: Base) -> Ranking:
    """K per query: pictures that agree with their siblings less than a limit are left out, but for
    the one that agrees best. The limit is a quantile over training categories."""
    features, agrees = world.features, agreement(world)
    rows = features.rows("train")
    usual = agrees[rows][features.accepted[rows]]
    most = np.where(features.accepted, agrees, -np.inf)
    first = most >= most.max(axis=1, keepdims=True)

    def rankings() -> Iterator[Ranking]:
        for quantile in QUANTILES:
            kept = features.accepted & ((agrees >= np.quantile(usual, quantile)) | first)
            image = base.join(replace(features, accepted=kept if quantile else features.accepted))
            yield from base.rankings(world, features.text, image)

    return best(world, rankings())


def varied(world: World, base: Base) -> Ranking:
    """Another form of the prompt for each picture, as drawn."""
    return _drawn(world, base, world.varied)


def unvaried(world: World, base: Base) -> Ranking:
    """The control of :func:`varied`: the usual prompt, as drawn."""
    return _drawn(world, base, world.unvaried)


def _drawn(world: World, base: Base, imagined: Array) -> Ranking:
    """``imagined`` (C, K, d_vision) instead of the accepted pictures."""
    features = replace(
        world.features, imagined=imagined, accepted=np.ones(imagined.shape[:2], dtype=bool)
    )
    return best(world, base.rankings(world, features.text, base.join(features)))
