"""The stage `dataset`: makes a class-per-folder tree with a manifest of what an adapter yields.

data/dataset/gallery/<category>/<number>.*     pictures to search among, of all categories
data/dataset/training/<category>/<number>.*    pictures to train on, of no category that is unseen
                                               or kept for the gate
data/dataset/manifest.csv                      a row for each picture:
                                               path, category, split and subset;
                                               sha256, the hash of the file;
                                               pixels and dhash, those of what it shows;
                                               source, its owner's name for it
data/dataset/descriptions.csv                  category and text of each description

A picture that is a file is decoded as a check and then copied byte for byte. Encoding a benchmark's
JPEGs again would cost time and space for nothing. A drawn picture is written as PNG.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pandas as pd
from PIL import Image

from components import config, descriptions, manifest, names
from components.datasets import cub200, emblems, folder, oxford102
from components.datasets.adapter import Category, Picture
from components.datasets.described import described
from components.datasets.kept_for_gate import kept_for_gate
from components.datasets.left_out import UNREADABLE, LeftOut
from components.datasets.merge import merge
from components.datasets.owners import OwnerNames
from components.errors import EidolonError
from components.files import folder_aside, sha256
from components.images import decoding
from components.images.hashing import image_hashes
from components.paths import DATASET, LEFT_OUT
from components.progress import note, track

Row = tuple[str, ...]
"""The values of :data:`components.manifest.DATASET_COLUMNS` for one picture."""


def dataset(params: config.Dataset, out: Path = DATASET) -> pd.DataFrame:
    """Write the dataset of ``params`` to ``out`` and return its manifest.

    Files of the source that the dataset does not use are listed in left_out.csv beside ``out``.
    Raises :class:`EidolonError` for an incomplete source, two categories with the same name, and
    unreadable pictures. ``out`` then stays as it was.
    """
    left_out = LeftOut(out.with_name(LEFT_OUT.name), skips_unreadable=params.leave_out_unreadable)
    categories = _categories(params, left_out)
    owner_names = OwnerNames(params.source)
    rows: list[Row] = []
    with folder_aside(out) as root:
        for category in track(categories, "dataset", "pictures", weigh=_count):
            rows += _written(category, root, owner_names, left_out)
        left_out.check()
        frame = pd.DataFrame(rows, columns=list(manifest.DATASET_COLUMNS))
        manifest.write(root, frame)
        descriptions.write(root, described(frame["category"].unique().tolist(), params))
    if sentence := left_out.sentence():
        note(f"dataset: {sentence}")
    return frame


def _categories(params: config.Dataset, left_out: LeftOut) -> list[Category]:
    """The adapter's categories, joined with the collection; some are kept for the gate."""
    own = _adapted(params, left_out)
    names.check_distinct(category.name for category in own)
    return kept_for_gate(merge(own, params), params)


def _adapted(params: config.Dataset, left_out: LeftOut) -> list[Category]:
    gallery, training = params.gallery_per_category, params.training_per_category
    match params.adapter:
        case "emblems":
            return emblems.categories(params.seed, *params.numbers())
        case "folder":
            return folder.categories(params, left_out)
        case "cub200":
            return cub200.categories(params.folder(), params.splits, gallery, training)
        case "oxford102":
            return oxford102.categories(params.folder(), params.splits, gallery, training)


def _count(category: Category) -> int:
    return len(category.gallery) + len(category.training)


def _written(
    category: Category, root: Path, owner_names: OwnerNames, left_out: LeftOut
) -> Iterator[Row]:
    """Write the pictures of ``category`` below ``root`` and yield their rows.

    Unreadable pictures go to ``left_out`` instead.
    """
    for picture, subset, stem in _places(category):
        (root / stem).parent.mkdir(parents=True, exist_ok=True)
        try:
            file, image = _store(picture, root / stem)
        except EidolonError as error:
            left_out.add(Path(str(picture)), UNREADABLE, str(error))
            continue
        path = file.relative_to(root).as_posix()
        hashes = sha256(file), *astuple(image_hashes(image))
        yield path, category.name, category.split, subset, *hashes, owner_names.of(picture)


def _places(category: Category) -> Iterator[tuple[Picture, str, Path]]:
    """Each picture, its subset, and its path in the dataset without the suffix."""
    for subset, pictures in (("gallery", category.gallery), ("training", category.training)):
        place = Path(subset) / names.folder(category.name)
        for i, picture in enumerate(pictures):
            yield picture, subset, place / f"{i:04d}"


def _store(picture: Picture, stem: Path) -> tuple[Path, Image.Image]:
    """Write ``picture`` to ``stem`` plus a suffix. Returns the file and the decoded picture.

    Raises :class:`EidolonError` when it cannot be read.
    """
    if isinstance(picture, Path):
        image, file = decoding.decode(picture), stem.with_suffix(picture.suffix.lower())
        shutil.copyfile(picture, file)
    else:
        image, file = picture(), stem.with_suffix(".png")
        image.save(file)
    return file, image
