"""Adds the collection to an adapter's categories, so that no picture ever changes its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd

from components import config, names
from components.collection import catalog
from components.datasets.adapter import Category, Picture, Split
from components.paths import COLLECTION
from components.uniform import uniform


def merge(
    categories: Sequence[Category], params: config.Dataset, folder: Path = COLLECTION
) -> list[Category]:
    """``categories`` with the collection's pictures after their own, then the new categories.

    A new category joins once it has ``params.min_pictures``. A hash of its name alone gives its
    split, by ``params.unseen_share`` and ``params.validation_share``. In categories to train on,
    pictures are dealt to gallery and training in the order of arrival, with the same share for
    training as in the adapter's categories.

    Raises :class:`EidolonError` for a missing file of the collection.
    """
    collected = catalog.read(folder)
    files = pd.Series(catalog.paths_of(collected, folder), index=collected.index, dtype=object)
    share = _training_share(categories)
    known = {names.fold(category.name): category for category in categories}
    for folded, rows in collected.groupby(collected["category"].map(names.fold), sort=False):
        key, name = str(folded), str(rows["category"].iloc[0])
        category = known.get(key) or Category(name, _split(name, params), (), ())
        gallery, training = _deal([Path(file) for file in files[rows.index]], category.split, share)
        if key not in known and (
            len(rows) < params.min_pictures or (category.split != "unseen" and not training)
        ):
            continue
        known[key] = replace(
            category,
            gallery=[*category.gallery, *gallery],
            training=[*category.training, *training],
        )
    return list(known.values())


def _training_share(categories: Sequence[Category]) -> float:
    """The share of training pictures in the categories that have any."""
    trained = [c for c in categories if c.training]
    training = sum(len(c.training) for c in trained)
    return training / max(1, training + sum(len(c.gallery) for c in trained))


def _split(name: str, params: config.Dataset) -> Split:
    place = uniform(f"{params.seed}/{name}")
    if place < params.unseen_share:
        return "unseen"
    return "validation" if place < params.unseen_share + params.validation_share else "train"


def _deal(
    files: Sequence[Picture], split: Split, share: float
) -> tuple[list[Picture], list[Picture]]:
    """Deal ``files`` to gallery and training, evenly in their order, the gallery first."""
    if split == "unseen":
        return list(files), []
    due = [int(share * i + 1e-9) for i in range(len(files) + 1)]
    trains = [after > before for before, after in pairwise(due)]
    return (
        [file for file, train in zip(files, trains, strict=True) if not train],
        [file for file, train in zip(files, trains, strict=True) if train],
    )
