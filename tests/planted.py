"""Features with a planted structure, for tests that must know the right ranking."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd

from components.features.features import Features
from components.vectors import Array, normalized

SPLITS = ("train",) * 12 + ("validation",) * 8 + ("unseen",) * 8
DIM, SHOWN, IMAGINED = 12, 6, 4


def normalised(x: np.ndarray) -> Array:
    """Rows of length one; zero rows stay zero."""
    return cast(Array, normalized(x).astype(np.float32))


def noisy(centres: np.ndarray, noise: float, each: int, rng: np.random.Generator) -> Array:
    """``each`` rows of length one around each of ``centres``."""
    many = np.repeat(centres, each, axis=0)
    return normalised(many + noise * rng.normal(size=many.shape))


def features(splits: tuple[str, ...] = SPLITS, seed: int = 5, shown: int = SHOWN) -> Features:
    """Categories are random directions; every feature is its category's direction and noise.

    The splits differ in nothing but their names. The gallery has ``shown`` pictures of each.
    """
    rng = np.random.default_rng(seed)
    names = [f"category {i}" for i in range(len(splits))]
    clip, vision = normalised(rng.normal(size=(2, len(names), DIM)).astype(np.float32))
    known = [i for i, split in enumerate(splits) if split not in ("unseen", "gate")]
    imagined = noisy(vision, 0.3, IMAGINED, rng).reshape(len(names), IMAGINED, DIM)
    return Features(
        categories=pd.DataFrame({"category": names, "split": splits}),
        gallery=_pictures(names, shown),
        training=_pictures([names[i] for i in known]),
        text=noisy(clip, 0.3, 1, rng),
        imagined=imagined,
        accepted=np.ones(imagined.shape[:2], dtype=bool),
        gallery_clip=noisy(clip, 0.45, shown, rng),
        gallery_vision=noisy(vision, 0.35, shown, rng),
        training_clip=noisy(clip[known], 0.45, SHOWN, rng),
        training_vision=noisy(vision[known], 0.35, SHOWN, rng),
    )


def without_pictures(given: Features, *rows: int) -> Features:
    """As if no imagined picture of the categories ``rows`` had been fit to use."""
    accepted, imagined = given.accepted.copy(), given.imagined.copy()
    accepted[list(rows)], imagined[list(rows)] = False, 0
    return replace(given, accepted=accepted, imagined=imagined)


def _pictures(names: list[str], shown: int = SHOWN) -> pd.DataFrame:
    rows = [(f"{name}/{i}.png", name) for name in names for i in range(shown)]
    return pd.DataFrame(rows, columns=["path", "category"])
