"""The stage `dataset`: makes a class-per-folder tree with a manifest of what an adapter yields.

data/dataset/gallery/<category>/<number>.*     pictures to search among, of all categories
data/dataset/training/<category>/<number>.*    pictures to train on, of no category that is unseen
                                               or kept for the gate
data/dataset/manifest.csv                      a row for each picture:
                                               path, category, split and subset;
                                               sha256, the hash of the file;
                                               pixels and dhash, those of what it shows;
                                               source, its owner's name for it;
                                               any columns of its owner's metadata.csv
data/dataset/descriptions.csv                  category and text of each description

A picture that is a file is decoded as a check and then copied byte for byte. Encoding a benchmark's
JPEGs again would cost time and space for nothing. A drawn picture is written as PNG.

What a run found out is kept in `.eidolon/pictures.sqlite`: the looks of pictures by their content,
and drawn pictures by their recipes. The files themselves are also in `.eidolon/dataset`. So the
next run decodes, draws and writes only what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from components import config, descriptions, manifest, names
from components.cache import Cache
from components.datasets import cub200, emblems, folder, metadata, oxford102
from components.datasets.adapter import Category, Drawing, Picture
from components.datasets.described import described
from components.datasets.kept_for_gate import kept_for_gate
from components.datasets.left_out import UNREADABLE, LeftOut
from components.datasets.merge import merge
from components.datasets.owners import OwnerNames
from components.datasets.removed import without_removed
from components.errors import EidolonError
from components.files import copy_contents, folder_aside
from components.images.encoding import encode
from components.images.looks import Looks, look
from components.images.written import Written
from components.paths import DATASET, KNOWN, LEFT_OUT
from components.progress import note, track

Row = tuple[str, ...]
"""The values of :data:`components.manifest.DATASET_COLUMNS` for one picture, then those of the
owner's own columns."""


class Made(NamedTuple):
    """A dataset's manifest, and how many of its pictures are ``new``: they had to be decoded or
    drawn. The others were known from earlier runs."""

    rows: pd.DataFrame
    new: int


def dataset(params: config.Dataset, out: Path = DATASET, known: Path = KNOWN) -> pd.DataFrame:
    """As :func:`make`, but returns the manifest alone."""
    return make(params, out, known).rows


def make(params: config.Dataset, out: Path = DATASET, known: Path = KNOWN) -> Made:
    """Write the dataset of ``params`` to ``out``.

    Files of the source that the dataset does not use are listed in left_out.csv beside ``out``.
    ``known`` keeps what is known of pictures for the next time. Raises :class:`EidolonError` for an
    incomplete source, a metadata.csv with a fault, two categories with the same name, and
    unreadable pictures. ``out`` then stays as it was.
    """
    own = metadata.read(None if params.adapter == "emblems" else params.source)
    left_out = LeftOut(out.with_name(LEFT_OUT.name), skips_unreadable=params.leave_out_unreadable)
    pictures = _Pictures(known, out)
    try:
        categories = _categories(params, left_out, pictures.looks)
        owner_names = OwnerNames(params.source)
        rows: list[Row] = []
        with folder_aside(out) as root:
            for category in track(categories, "dataset", "pictures", weigh=_count):
                rows += _written(category, root, pictures, owner_names, own, left_out)
            rows = without_removed(rows, root, left_out)
            left_out.check()
            frame = pd.DataFrame(rows, columns=[*manifest.DATASET_COLUMNS, *own.columns])
            manifest.write(root, frame)
            descriptions.write(root, described(frame["category"].unique().tolist(), params))
        pictures.written.only(set(frame["sha256"]))
    finally:
        pictures.save()
    if sentence := left_out.sentence():
        note(f"dataset: {sentence}")
    if unused := own.unused(picture for one in categories for picture, *_ in _places(one)):
        note(f"dataset: {metadata.FILE} also has {unused} files that the dataset lacks")
    return Made(frame, pictures.new)


def _categories(params: config.Dataset, left_out: LeftOut, looks: Looks) -> list[Category]:
    """The adapter's categories, joined with the collection; some are kept for the gate."""
    own = _adapted(params, left_out, looks)
    names.check_distinct(category.name for category in own)
    return kept_for_gate(merge(own, params), params)


def _adapted(params: config.Dataset, left_out: LeftOut, looks: Looks) -> list[Category]:
    gallery, training = params.gallery_per_category, params.training_per_category
    match params.adapter:
        case "emblems":
            return emblems.categories(params.seed, *params.numbers())
        case "folder":
            return folder.categories(params, left_out, looks)
        case "cub200":
            return cub200.categories(params.folder(), params.splits, gallery, training)
        case "oxford102":
            return oxford102.categories(params.folder(), params.splits, gallery, training)


def _count(category: Category) -> int:
    return len(category.gallery) + len(category.training)


def _written(
    category: Category,
    root: Path,
    pictures: _Pictures,
    owner_names: OwnerNames,
    own: metadata.Metadata,
    left_out: LeftOut,
) -> Iterator[Row]:
    """Write the pictures of ``category`` below ``root`` and yield their rows.

    Unreadable pictures go to ``left_out`` instead.
    """
    pictures.expect(category)
    for picture, subset, stem in _places(category):
        if not (place := (root / stem).parent).is_dir():
            place.mkdir(parents=True)
        try:
            path, hashes = pictures.write(picture, root, stem)
        except EidolonError as error:
            left_out.add(Path(str(picture)), UNREADABLE, str(error))
            continue
        name, source = path.as_posix(), owner_names.of(picture)
        yield name, category.name, category.split, subset, *hashes, source, *own.of(picture)


def _places(category: Category) -> Iterator[tuple[Picture, str, Path]]:
    """Each picture, its subset, and its path in the dataset without the suffix."""
    for subset, pictures in (("gallery", category.gallery), ("training", category.training)):
        place = Path(subset) / names.folder(category.name)
        for i, picture in enumerate(pictures):
            yield picture, subset, place / f"{i:04d}"


class _Pictures:
    """Writes the pictures of the dataset ``out``, of all kinds, and counts those that are ``new``.
    ``known`` keeps what was found out about them."""

    def __init__(self, known: Path, out: Path) -> None:
        self.looks = Looks(known)
        self.written, self._out = Written(known), out
        self._drawings = Cache(known, "drawings")
        self.new = 0

    def save(self) -> None:
        """Keep what is new for the next time."""
        self.looks.save()
        self.written.save()
        self._drawings.save()

    def expect(self, category: Category) -> None:
        """Read at once what is known of the files of ``category``, which are written next."""
        files = [p for p in (*category.gallery, *category.training) if isinstance(p, Path)]
        self.written.expect(self.looks.expect(files))

    def write(self, picture: Picture, root: Path, stem: Path) -> tuple[Path, tuple[str, ...]]:
        """Write ``picture`` to ``stem`` plus a suffix, below ``root``. Returns that path, and the
        hashes of the picture's content and of what it shows.

        Raises :class:`EidolonError` when it cannot be read.
        """
        source: Path | bytes
        if isinstance(picture, Drawing):
            source = self._png(picture)
            digest, path = hashlib.sha256(source).hexdigest(), stem.with_suffix(".png")
        else:
            source, digest = picture, self.looks.sha256(picture)
            path = stem.with_suffix(picture.suffix.lower())
        seen = self.looks.known(digest, source)
        if not self.written.link(digest, root / path):
            self._copy(source, digest, root / path)
            self.written.keep(digest, root / path, self._out / path)
        self.new += digest in self.looks.new
        return path, (digest, *astuple(seen.hashes))

    def _copy(self, source: Path | bytes, digest: str, file: Path) -> None:
        if isinstance(source, bytes):
            file.write_bytes(source)
            return
        copy_contents(source, file)
        if self.looks.sha256(source) != digest:
            raise EidolonError(f"{source} changed while it was copied: run the stage again")

    def _png(self, drawing: Drawing) -> bytes:
        """The file of ``drawing``, which is drawn unless it was before."""
        kept = self._drawings.get(drawing.recipe)
        if kept is not None:
            return kept
        image = drawing.draw()
        data = encode(image, "PNG")
        self.looks.put(hashlib.sha256(data).hexdigest(), look(image))
        self._drawings.put(drawing.recipe, data)
        return data
