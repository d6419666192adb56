"""A small planted world for the study's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components import config
from components.vectors import Array
from study.world import World
from tests import planted
from tests.planted import SPLITS


def world(splits: tuple[str, ...] = SPLITS) -> World:
    """Real photos and imagined pictures vary around the same directions: photos less, and studio
    pictures least. What CLIP sees in an imagined picture is near its category's text."""
    features = planted.features(splits)
    many, dim = features.imagined.shape[1:]
    rng = np.random.default_rng(6)

    def around(centres: Array, noise: float, each: int) -> Array:
        return planted.noisy(centres, noise, each, rng).reshape(len(centres), each, dim)

    seen = around(features.text, 0.2, many)
    vision = planted.normalised(features.imagined.sum(axis=1))
    params = config.load(Path(__file__).parents[1] / "profiles" / "embedded.yaml").train
    return World(
        seed=0,
        train=params.model_copy(update={"epochs": 2, "steps_per_epoch": 3, "batch": 8}),
        hubness=0.5,
        features=features,
        imagined_clip=seen,
        ensemble=features.text,
        varied=around(vision, 0.2, many),
        unvaried=features.imagined,
        photos=around(vision, 0.2, 2 * many),
        studio=around(vision, 0.1, many),
        by_count={n: features.imagined[features.rows("unseen"), :n] for n in (1, 4)},
        by_steps={8: features.imagined[features.rows("unseen")]},
    )
