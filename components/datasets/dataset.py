"""The stage `dataset`: from an adapter to a class-per-folder tree with a manifest.

data/dataset/gallery/<category>/<number>.*     what is searched: all categories
data/dataset/training/<category>/<number>.*    what training sees: no unseen category
data/dataset/manifest.csv                      path, category, split, subset, and what a picture is
                                               recognised by: pixels, dhash;
                                               source: the name that its owner knows it by

A picture that is a file is copied byte by byte once it has been decoded: encoding a benchmark's
JPEGs anew would cost time and space and gain nothing. A drawn picture is written as PNG.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

import pandas as pd
from PIL import Image

from components import config, manifest, names
from components.collection import catalog
from components.datasets import cub200, emblems, folder, oxford102
from components.datasets.adapter import Picture, Source
from components.datasets.left_out import UNREADABLE, LeftOut
from components.datasets.merge import merge
from components.errors import EidolonError
from components.files import folder_aside
from components.images import decoding
from components.images.hashing import likeness
from components.paths import DATASET, LEFT_OUT
from components.progress import note, track


def dataset(params: config.Dataset, out: Path = DATASET) -> pd.DataFrame:
    """Write the dataset of ``params`` to ``out`` and return its manifest.

    What the source has and the dataset does not take is listed in left_out.csv beside ``out``.
    Raises :class:`EidolonError` for an incomplete source, two categories of one name or unreadable
    pictures; ``out`` then stays as it was.
    """
    left = LeftOut(out.with_name(LEFT_OUT.name), goes_on=params.leave_out_unreadable)
    own = _sources(params, left)
    names.distinct(source.category for source in own)
    sources = merge(own, params)
    ingested = _ingested()
    rows = []
    with folder_aside(out) as aside:
        for source in track(sources, "dataset", "pictures", weigh=_count):
            for subset, shown in (("gallery", source.gallery), ("training", source.training)):
                place = Path(subset) / names.folder(source.category)
                for i, picture in enumerate(shown):
                    (aside / place).mkdir(parents=True, exist_ok=True)
                    try:
                        name, image = _store(picture, aside / place / f"{i:04d}")
                    except EidolonError as error:
                        left.add(Path(str(picture)), UNREADABLE, str(error))
                        continue
                    path = (place / name).as_posix()
                    known_by = astuple(likeness(image))
                    file = _owned(picture, params.source, ingested)
                    rows.append((path, source.category, source.split, subset, *known_by, file))
        left.check()
        frame = pd.DataFrame(rows, columns=list(manifest.DATASET_COLUMNS))
        manifest.write(aside, frame)
    if said := left.sentence():
        note(f"dataset: {said}")
    return frame


def _sources(params: config.Dataset, left: LeftOut) -> list[Source]:
    gallery, training = params.gallery_per_category, params.training_per_category
    match params.adapter:
        case "emblems":
            return list(emblems.sources(params.seed, *params.numbers()))
        case "folder":
            return folder.sources(params, left)
        case "cub200":
            return cub200.sources(params.folder(), params.splits, gallery, training)
        case "oxford102":
            return oxford102.sources(params.folder(), params.splits, gallery, training)


def _ingested() -> dict[Path, str]:
    """The name by which its giver knows each picture of the collection, by where it lies."""
    return dict(zip(catalog.files(), catalog.read()["file"], strict=True))


def _owned(picture: Picture, source: Path | None, ingested: Mapping[Path, str]) -> str:
    """The name by which its owner knows a picture: below dataset.source, or as it was ingested.
    What is drawn has none."""
    if not isinstance(picture, Path):
        return ""
    if picture in ingested:
        return ingested[picture]
    if source is not None and picture.is_relative_to(source):
        picture = picture.relative_to(source)
    return catalog.printable(picture.as_posix())


def _count(source: Source) -> int:
    return len(source.gallery) + len(source.training)


def _store(picture: Picture, stem: Path) -> tuple[str, Image.Image]:
    """Write ``picture`` to ``stem`` with the suffix that it needs; the file's name, the image."""
    if isinstance(picture, Path):
        image, target = decoding.decode(picture), stem.with_suffix(picture.suffix.lower())
        shutil.copyfile(picture, target)
    else:
        image, target = picture(), stem.with_suffix(".png")
        image.save(target)
    return target.name, image
