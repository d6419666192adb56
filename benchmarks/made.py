"""Made features of any size: what `embed` would leave for many categories and pictures.

Each category has a centre in both spaces, and its text, its imagined pictures and its real ones lie
around it. The centres of a family of ten are near each other, as birds of one genus look alike, so
that rankings are neither perfect nor chance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from components.arrays import create
from components.features.features import Features
from components.vectors import Array, normalized

SPLITS = {"train": 0.6, "validation": 0.12, "unseen": 0.2, "gate": 0.08}
"""The share of the categories in each split."""

IMAGINED = 4
"""Imagined pictures of a category."""

_FAMILY, _APART = 10, 0.6
_NOISE = {"text": 1.0, "imagined": 2.0, "gallery": 1.5, "training": 1.5}
_AT_ONCE = 2**14  # pictures that are made at a time


def features(
    folder: Path, categories: int, gallery: int, training: int, seed: int = 0, dim: int = 64
) -> Features:
    """Make features in the existing ``folder``, and return them mapped into memory.

    They have ``gallery`` and ``training`` pictures of ``categories`` categories, and ``dim``
    numbers in either space. The pictures are shared out evenly, those of training among the
    categories of the splits `train` and `validation`. Memory holds a part of them at a time.
    """
    rng = np.random.default_rng(seed)
    split = rng.choice(list(SPLITS), categories, p=list(SPLITS.values()))
    names = np.array([f"category {number:06}" for number in range(categories)])
    known = np.flatnonzero(np.isin(split, ("train", "validation")))
    of = {
        "gallery": np.arange(gallery) % categories,
        "training": known[np.arange(training) % len(known)],
    }
    clip, vision = centres(rng, categories, dim), centres(rng, categories, dim)
    draft = folder / "draft.safetensors"
    arrays = create(
        draft,
        {
            f"{side}_{space}": ((len(rows), dim), np.float32)
            for side, rows in of.items()
            for space in ("clip", "vision")
        },
    )
    for side, rows in of.items():
        for first in range(0, len(rows), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            arrays[f"{side}_clip"][some] = near(clip[rows[some]], _NOISE[side], rng)
            arrays[f"{side}_vision"][some] = near(vision[rows[some]], _NOISE[side], rng)
    imagined = near(np.repeat(vision, IMAGINED, axis=0), _NOISE["imagined"], rng)
    made = Features(
        categories=pd.DataFrame({"category": names, "split": split}, dtype=str),
        gallery=_pictures("gallery", names, of["gallery"]),
        training=_pictures("training", names, of["training"]),
        text=near(clip, _NOISE["text"], rng),
        imagined=imagined.reshape(categories, IMAGINED, dim),
        accepted=np.ones((categories, IMAGINED), dtype=bool),
        gallery_clip=arrays["gallery_clip"],
        gallery_vision=arrays["gallery_vision"],
        training_clip=arrays["training_clip"],
        training_vision=arrays["training_vision"],
    )
    made.save(folder)
    draft.unlink()
    return Features.load(folder)


def centres(rng: np.random.Generator, categories: int, dim: int) -> Array:
    """A centre of length one for each of the ``categories``: (C, dim)."""
    families = rng.standard_normal((-(-categories // _FAMILY), dim))
    own = rng.standard_normal((categories, dim))
    centres = np.repeat(families, _FAMILY, axis=0)[:categories] + _APART * own
    return normalized(centres).astype(np.float32)


def near(centres: Array, noise: float, rng: np.random.Generator) -> Array:
    """A row of length one around each of ``centres`` (n, d). The ``noise`` is how far, in lengths
    of a centre."""
    away = rng.standard_normal(centres.shape, dtype=np.float32) / np.sqrt(centres.shape[1])
    return normalized(centres + np.float32(noise) * away).astype(np.float32)


def _pictures(side: str, names: np.ndarray, of: np.ndarray) -> pd.DataFrame:
    paths = [f"{side}/{row:07}.png" for row in range(len(of))]
    return pd.DataFrame({"path": paths, "category": names[of], "source": ""}, dtype=str)
