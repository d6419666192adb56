"""Adapter for any tree with one folder per category: ``source/<category>/<picture>``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from components import config, names
from components.datasets import metadata, splits
from components.datasets.adapter import Category, Split, number_of, wrong_with
from components.datasets.left_out import LOOSE, NESTED, OTHER, UNREADABLE, LeftOut
from components.errors import EidolonError
from components.images import decoding
from components.images.looks import Looks
from components.progress import track

_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


def categories(
    params: config.Dataset, left_out: LeftOut | None = None, looks: Looks | None = None
) -> list[Category]:
    """One category per folder. Its name is the folder's, with spaces instead of underscores.

    The class lists in ``params.splits`` give the splits. Without them, ``params.unseen_share`` and
    ``params.validation_share`` cut the categories in the order of a seeded hash of their names.

    Pictures are in the order of their file names. The first ``gallery_per_category`` pictures go to
    the gallery, the next ``training_per_category`` to training. Both amounts are numbers, or shares
    of the category's pictures. A category to train on keeps at least one picture for training.

    Content, not suffixes, decides which files are pictures, and every picture that is used is
    decoded as a check, unless ``looks`` knows it. Other files go to ``left_out``: those that are
    not pictures or cannot be read, and those in sub-folders or beside the categories. Hidden files
    are ignored.

    Raises :class:`EidolonError` for a missing or empty folder or category, and for folders that
    have the names of splits.
    """
    source, (gallery, training), left_out = params.folder(), params.amounts(), left_out or LeftOut()
    looks = looks or Looks()
    folders = _folders(source, left_out)
    shares = isinstance(gallery, float) or isinstance(training, float)
    wanted = None if shares else int(gallery + training)
    found = {
        path.name: _pictures(path, wanted, left_out, looks)
        for path in track(folders, "check", "categories")
    }
    left_out.check()
    split_of = splits.read(params.splits, found) if params.splits else _splits([*found], params)
    return [
        _category(source / name, files, split_of[name], gallery, training)
        for name, files in found.items()
    ]


def _folders(source: Path, left_out: LeftOut) -> list[Path]:
    """The folders of the categories, by name. Files beside them go to ``left_out``.

    Raises :class:`EidolonError` when ``source`` is not such a tree.
    """
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
        raise EidolonError(f"{source} has {len(folders)} categories: it needs at least 4")
    strange = next((path.name for path in folders if not names.is_text(path.name)), None)
    if strange is not None:
        raise EidolonError(
            f"{source} has a folder {strange!r}, whose name is not UTF-8: rename the folder"
        )
    for path in entries:
        if not path.is_dir() and path.name != metadata.FILE:
            left_out.add(path, LOOSE, f"{path} is not in a category's folder")
    return folders


def _pictures(folder: Path, wanted: int | None, left_out: LeftOut, looks: Looks) -> list[Path]:
    """The first ``wanted`` readable pictures in a category's folder, or all for ``None``."""
    found: list[Path] = []
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    looks.expect(entries[:wanted])
    for path in entries:
        if path.is_dir():
            _leave_out_folder(path, left_out)
            continue
        try:
            if wanted is None or len(found) < wanted:
                looks.of(path)
                found.append(path)
            else:
                decoding.format_of(path)
        except EidolonError as error:
            is_picture = _recognised(path) or path.suffix.lower() in decoding.SUFFIXES
            left_out.add(path, UNREADABLE if is_picture else OTHER, str(error))
    return found


def _recognised(path: Path) -> bool:
    """Whether a file has the format of a picture, though it cannot be decoded."""
    try:
        decoding.format_of(path)
    except EidolonError:
        return False
    return True


def _leave_out_folder(folder: Path, left_out: LeftOut) -> None:
    for place, _, files in os.walk(folder):
        for file in sorted(files):
            path = Path(place) / file
            left_out.add(path, NESTED, f"{path} is in a sub-folder of a category")


def _category(
    path: Path,
    files: Sequence[Path],
    split: Split,
    gallery: int | float,
    training: int | float,
) -> Category:
    """The category of the folder ``path``, whose pictures are ``files``.

    Raises :class:`EidolonError` when it has no name or too few pictures.
    """
    if not files:
        deeper = next((p for p in sorted(path.iterdir()) if p.is_dir()), None)
        hint = f" ({deeper} is a folder, and its pictures do not count)" if deeper else ""
        raise EidolonError(f"category {path} has no pictures{hint}: add some, or remove the folder")
    name = names.clean(path.name)
    if not name:
        raise EidolonError(f"category {path} has no name: rename the folder")
    unseen = split == "unseen"
    if not unseen and len(files) < 2:
        raise EidolonError(f"category {path} has only one picture: add another to train on")
    shown = min(number_of(gallery, len(files)), len(files) if unseen else len(files) - 1)
    return Category(
        name=name,
        split=split,
        gallery=files[:shown],
        training=[] if unseen else files[shown : shown + number_of(training, len(files))],
    )


def _splits(names: Sequence[str], params: config.Dataset) -> dict[str, Split]:
    """A random split of the categories, with at least one unseen and one for validation.

    A category that is added later can move others to another split. Class lists prevent that.
    """

    def place(name: str) -> bytes:
        return hashlib.sha256(f"{params.seed}/{name}".encode()).digest()

    ordered = sorted(names, key=place)
    unseen = max(1, round(len(ordered) * params.unseen_share))
    validation = max(1, round(len(ordered) * params.validation_share))
    return {
        name: "unseen" if i < unseen else "validation" if i < unseen + validation else "train"
        for i, name in enumerate(ordered)
    }
