"""Adapter for any tree with one folder per category: ``source/<category>/<picture>``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from components import config, names
from components.datasets import splits
from components.datasets.adapter import Source, Split, taken, wrong_with
from components.datasets.left_out import LOOSE, NESTED, OTHER, UNREADABLE, LeftOut
from components.errors import EidolonError
from components.images import decoding
from components.progress import track

_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_CHECKED_AT = 8  # pixels: a picture is decoded as small as its format allows


def sources(params: config.Dataset, left: LeftOut | None = None) -> list[Source]:
    """One category for each folder, named as the folder with spaces for underscores.

    The split is that of the class lists in ``params.splits``. Without them, ``params.unseen_share``
    and ``params.validation_share`` cut the categories in the order of a seeded hash of their names.
    Each category gives its first ``gallery_per_category`` pictures, by file name, to the gallery
    and the next ``training_per_category`` to training; one that trains keeps at least one picture
    for that. Files are told by their content, and those that give a picture are decoded. What is
    not taken goes to ``left``, but for what starts with a dot: files that are no pictures or cannot
    be read, what lies in sub-folders or beside the categories. Raises :class:`EidolonError` for a
    missing or empty folder or category, and for folders that are named as splits.
    """
    source, (gallery, training), left = params.folder(), params.amounts(), left or LeftOut()
    wrong = wrong_with(source)
    if wrong is not None:
        raise EidolonError(f"dataset.source {wrong}: give a folder with one folder per category")
    entries = [path for path in sorted(source.iterdir()) if not path.name.startswith(".")]
    folders = [path for path in entries if path.is_dir()]
    if folders and all(path.name.lower() in _SPLITS for path in folders):
        raise EidolonError(
            f"{source} has the folders {', '.join(p.name for p in folders)}, which are splits and"
            f" not categories: set dataset.source to one of them, such as {folders[0]}, or copy"
            " what is in them into one folder"
        )
    if len(folders) < 4:
        raise EidolonError(f"{source} has {len(folders)} categories; at least 4 are needed")
    strange = next((path.name for path in folders if not names.is_text(path.name)), None)
    if strange is not None:
        raise EidolonError(
            f"{source} has a folder {strange!r}, which is no UTF-8: rename the folder"
        )
    for path in entries:
        if not path.is_dir():
            left.add(path, LOOSE, f"{path} lies in no category's folder")
    shares = isinstance(gallery, float) or isinstance(training, float)
    wanted = None if shares else gallery + training
    found = {
        path.name: _pictures(path, wanted, left) for path in track(folders, "check", "categories")
    }
    left.check()
    split_of = splits.read(params.splits, found) if params.splits else _splits([*found], params)
    return [
        _category(source / name, files, split_of[name], gallery, training)
        for name, files in found.items()
    ]


def _pictures(folder: Path, wanted: int | float | None, left: LeftOut) -> list[Path]:
    """The first ``wanted`` readable pictures of a category's folder; all for ``None``."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            _nested(path, left)
            continue
        recognised = False
        try:
            decoding.format_of(path)
            recognised = True
            if wanted is None or len(found) < wanted:
                decoding.decode(path, side=_CHECKED_AT)
                found.append(path)
        except EidolonError as error:
            meant = recognised or path.suffix.lower() in decoding.SUFFIXES
            left.add(path, UNREADABLE if meant else OTHER, str(error))
    return found


def _nested(folder: Path, left: LeftOut) -> None:
    for place, _, files in os.walk(folder):
        for file in sorted(files):
            path = Path(place) / file
            left.add(path, NESTED, f"{path} lies in a sub-folder of a category")


def _category(
    path: Path,
    files: Sequence[Path],
    split: Split,
    gallery: int | float,
    training: int | float,
) -> Source:
    if not files:
        deeper = next((p for p in sorted(path.iterdir()) if p.is_dir()), None)
        hint = f" ({deeper} is a folder: pictures lie right in their category's)" if deeper else ""
        raise EidolonError(f"category {path} has no pictures{hint}: add some or remove the folder")
    category = names.clean(path.name)
    if not category:
        raise EidolonError(f"category {path} has no name: rename the folder")
    unseen = split == "unseen"
    if not unseen and len(files) < 2:
        raise EidolonError(f"category {path} has one picture only: training needs another")
    shown = min(taken(gallery, len(files)), len(files) if unseen else len(files) - 1)
    return Source(
        category=category,
        split=split,
        gallery=files[:shown],
        training=[] if unseen else files[shown : shown + taken(training, len(files))],
    )


def _splits(names: Sequence[str], params: config.Dataset) -> dict[str, Split]:
    """At least one category of each split, whatever the count. Other categories that join later
    may move the borders: class lists do not."""

    def place(name: str) -> bytes:
        return hashlib.sha256(f"{params.seed}/{name}".encode()).digest()

    ordered = sorted(names, key=place)
    unseen = max(1, round(len(ordered) * params.unseen_share))
    validation = max(1, round(len(ordered) * params.validation_share))
    return {
        name: "unseen" if i < unseen else "validation" if i < unseen + validation else "train"
        for i, name in enumerate(ordered)
    }
