"""The differences between two versions of the dataset."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from components import manifest
from components.lifecycle import registry
from components.paths import DATASET

WORKING = "working"
"""Stands for the data of this checkout, in place of a version's number."""

EXAMPLES = 5
"""How many examples of each difference are shown."""

_COMPARED = ("path", "category", "split", "pixels")


@dataclass(frozen=True)
class Difference:
    """What a dataset B has and a dataset A lacks (added), and the reverse (removed).

    ``changed`` are categories of both with different pictures, and ``moved`` those in different
    splits. Two pictures are the same if their category and their pixels are the same.
    """

    categories_added: list[str]
    categories_removed: list[str]
    changed: list[str]
    moved: list[str]
    pictures_added: pd.DataFrame
    pictures_removed: pd.DataFrame
    pictures_kept: int

    def lines(self) -> list[str]:
        """One line for each kind of difference, with a few examples."""
        told = [
            ("categories added", self.categories_added),
            ("categories removed", self.categories_removed),
            ("categories with other pictures", self.changed),
            ("categories in another split", self.moved),
            ("pictures added", list(self.pictures_added["path"])),
            ("pictures removed", list(self.pictures_removed["path"])),
        ]
        lines = [f"{len(found):>6} {what}{_examples(found)}" for what, found in told]
        return [*lines, f"{self.pictures_kept:>6} pictures in both"]


def diff(a: str, b: str) -> Difference:
    """Compare the datasets of the versions ``a`` and ``b``.

    Each is a version's number, an alias, or :data:`WORKING`. Raises :class:`EidolonError` for an
    unknown version, and when a manifest is missing or damaged.
    """
    one, other = _dataset(a), _dataset(b)
    splits = [frame.groupby("category")["split"].first() for frame in (one, other)]
    both = splits[0].index.intersection(splits[1].index)
    moved = both[(splits[0][both] != splits[1][both]).to_numpy()]
    keys = [_keys(frame) for frame in (one, other)]
    added, removed = other[~keys[1].isin(keys[0])], one[~keys[0].isin(keys[1])]
    return Difference(
        categories_added=sorted(set(splits[1].index) - set(both)),
        categories_removed=sorted(set(splits[0].index) - set(both)),
        changed=sorted(set(both) & {*added["category"], *removed["category"]}),
        moved=sorted(moved),
        pictures_added=added,
        pictures_removed=removed,
        pictures_kept=len(other) - len(added),
    )


def _examples(names: list[str]) -> str:
    shown = ", ".join(names[:EXAMPLES])
    return f": {shown}{', …' if len(names) > EXAMPLES else ''}" if names else ""


def _dataset(name: str) -> pd.DataFrame:
    if name == WORKING:
        return manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    path = "lineage/dataset.csv"
    text = registry.artifacts(registry.registered(name), path)[path]
    return manifest.kept(text, _COMPARED, f"{path} of version {name}")


def _keys(frame: pd.DataFrame) -> pd.Series:
    return frame["category"] + "/" + frame["pixels"]
