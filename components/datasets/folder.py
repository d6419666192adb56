"""Adapter for any tree with one folder per category: ``source/<category>/<picture>``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from components import pictures
from components.datasets.source import Source, Split
from components.errors import EidolonError


def sources(source: Path, seed: int, gallery: int, training: int) -> Iterator[Source]:
    """Categories in the order of a seeded hash of their names: 60 % train, 15 % validation,
    25 % unseen. The split of a category does not change when others are added to its split's end.

    Each category gives its first ``gallery`` pictures to the gallery and the next ``training`` to
    training. Raises :class:`EidolonError` for a missing or empty folder or category.
    """
    if not source.is_dir():
        raise EidolonError(f"dataset.source {source} is no folder: give a tree of categories")
    folders = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(folders) < 4:
        raise EidolonError(f"{source} has {len(folders)} categories; at least 4 are needed")
    ordered = sorted(folders, key=lambda p: hashlib.sha256(f"{seed}/{p.name}".encode()).digest())
    for i, path in enumerate(ordered):
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in pictures.SUFFIXES)
        if not files:
            raise EidolonError(f"category {path} has no pictures: add some or remove the folder")
        split = _split(i, len(ordered))
        shown = (
            files[:gallery] if split == "unseen" else files[: max(1, min(gallery, len(files) - 1))]
        )
        rest = () if split == "unseen" else files[len(shown) : len(shown) + training]
        if split != "unseen" and not rest:
            raise EidolonError(f"category {path} has one picture only: training needs another")
        yield Source(
            category=path.name.replace("_", " "),
            split=split,
            gallery=[partial(pictures.read, p) for p in shown],
            training=[partial(pictures.read, p) for p in rest],
        )


def _split(i: int, count: int) -> Split:
    # at least one category of each split, whatever the count
    unseen = max(1, round(count * 0.25))
    validation = max(1, round(count * 0.15))
    return "unseen" if i < unseen else "validation" if i < unseen + validation else "train"
