"""Adapter for any tree with one folder per category: ``source/<category>/<picture>``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from components import names, pictures
from components.datasets import splits
from components.datasets.source import Source, Split
from components.errors import EidolonError


def sources(
    source: Path, lists: Path | None, seed: int, gallery: int, training: int
) -> list[Source]:
    """One category for each folder, named as the folder with spaces for underscores.

    The split is that of the class ``lists``, or else 25 % unseen, 15 % validation and 60 % train in
    the order of a seeded hash of the names. Each category gives its first ``gallery`` pictures, by
    file name, to the gallery and the next ``training`` to training; one that trains keeps at least
    one picture for that. Folders and files that start with a dot are left out, as are files that
    are no pictures. Raises :class:`EidolonError` for a missing or empty folder or category.
    """
    if not source.is_dir():
        what = "is no folder" if source.exists() else "does not exist"
        raise EidolonError(f"dataset.source {source} {what}: give a tree of categories")
    found = {
        path.name: [
            p
            for p in sorted(path.iterdir())
            if p.suffix.lower() in pictures.SUFFIXES and not p.name.startswith(".")
        ]
        for path in sorted(source.iterdir())
        if path.is_dir() and not path.name.startswith(".")
    }
    if len(found) < 4:
        raise EidolonError(f"{source} has {len(found)} categories; at least 4 are needed")
    strange = next((name for name in found if not names.is_text(name)), None)
    if strange is not None:
        raise EidolonError(
            f"{source} has a folder {strange!r}, which is no UTF-8: rename the folder"
        )
    split_of = splits.read(lists, found) if lists else _splits(list(found), seed)
    return [
        _category(source / name, files, split_of[name], gallery, training)
        for name, files in found.items()
    ]


def _category(
    path: Path, files: Sequence[Path], split: Split, gallery: int, training: int
) -> Source:
    if not files:
        raise EidolonError(f"category {path} has no pictures: add some or remove the folder")
    category = names.clean(path.name)
    if not category:
        raise EidolonError(f"category {path} has no name: rename the folder")
    unseen = split == "unseen"
    if not unseen and len(files) < 2:
        raise EidolonError(f"category {path} has one picture only: training needs another")
    shown = min(gallery, len(files) if unseen else len(files) - 1)
    return Source(
        category=category,
        split=split,
        gallery=files[:shown],
        training=[] if unseen else files[shown : shown + training],
    )


def _splits(names: Sequence[str], seed: int) -> dict[str, Split]:
    """At least one category of each split, whatever the count. Other categories that join later
    may move the borders: class lists do not."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    unseen = max(1, round(len(ordered) * 0.25))
    validation = max(1, round(len(ordered) * 0.15))
    return {
        name: "unseen" if i < unseen else "validation" if i < unseen + validation else "train"
        for i, name in enumerate(ordered)
    }
