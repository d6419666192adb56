"""Loads a bundle, and checks every file against its hash."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from components import tables
from components.arrays import mapped
from components.confidence.confidence import Confidence
from components.features.queries import Queries, from_arrays
from components.index.gallery import Gallery
from components.learning.aggregator import Aggregator
from components.serving.integrity import checked
from components.serving.thumbnails import Thumbnails

GALLERY = ("path", "category", "source", "split", "dhash")
CATEGORIES = ("category", "split", "pictures", "seeds", "addresses", "agreements")
REMEDY = "get the bundle from the registry again, or run `dvc repro bundle`"


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. Row i of ``text`` and ``aggregated`` holds the embeddings of row i of
    ``categories``, and of ``imagined`` (C, K, d) those of its imagined pictures, as far as
    ``accepted`` (C, K) says. ``described`` are the queries by description, with the rows of
    ``descriptions``; None without descriptions."""

    folder: Path
    info: dict[str, Any]
    aggregator: Aggregator
    gallery: Gallery
    text: np.ndarray
    aggregated: np.ndarray
    imagined: np.ndarray
    accepted: np.ndarray
    pictures: pd.DataFrame
    categories: pd.DataFrame
    confidence: Confidence
    described: Queries | None
    descriptions: pd.DataFrame | None

    def picture(self, path: str) -> bytes:
        """The thumbnail of the picture ``path``, as the bytes of its file.

        Raises :class:`KeyError` if there is no such picture, or no longer in the store, and
        :class:`TransientError` or :class:`EidolonError` if the store cannot be read now.
        """
        if "pictures.zip" in self.info["files"]:
            return self._thumbnails.read(path)
        data = self._store.get(self._keys[path])
        if data is None:
            raise KeyError(path)
        return data

    def original(self, path: str) -> bytes:
        """The bytes of the file that the picture ``path`` of the gallery was made from.

        Raises :class:`KeyError` if there is no such picture, or if the bundle has no originals.
        """
        return self._originals.read(path)

    @property
    def has_originals(self) -> bool:
        """Whether the bundle holds the gallery's own files."""
        return "originals.zip" in self.info["files"]

    @cached_property
    def _originals(self) -> zipfile.ZipFile:
        if not self.has_originals:
            raise KeyError("originals.zip")
        return zipfile.ZipFile(self.folder / "originals.zip")

    @cached_property
    def _keys(self) -> dict[str, str]:
        named = tables.read(self.folder / "pictures.csv", ("path", "key"), REMEDY)
        return dict(zip(named["path"], named["key"], strict=True))

    @cached_property
    def _store(self) -> Thumbnails:
        return Thumbnails(patient=False)

    @cached_property
    def _thumbnails(self) -> zipfile.ZipFile:
        # kept open: listing thousands of members takes longer than reading a picture
        return zipfile.ZipFile(self.folder / "pictures.zip")


def load(folder: Path) -> Bundle:
    """Load the bundle in ``folder``, and check the hash of each of its files.

    Raises :class:`EidolonError` when the bundle has another format, or a file is missing, damaged,
    or not the one that was packed.
    """
    info = checked(folder, REMEDY)
    gallery = {
        name: np.asarray(array) for name, array in mapped(folder / "gallery.safetensors").items()
    }
    queries = load_file(folder / "queries.safetensors")
    described, descriptions = from_arrays(queries), None
    if described is not None:
        columns = (*CATEGORIES, "texts")
        descriptions = tables.read(folder / "descriptions.csv", columns, REMEDY)
    return Bundle(
        folder=folder,
        info=info,
        aggregator=Aggregator.load(folder / "aggregator.safetensors"),
        gallery=Gallery(**gallery),
        text=queries["text"],
        aggregated=queries["aggregated"],
        imagined=queries["imagined"],
        accepted=queries["accepted"],
        pictures=tables.read(folder / "gallery.csv", GALLERY, REMEDY),
        categories=tables.read(folder / "categories.csv", CATEGORIES, REMEDY),
        confidence=Confidence.load(folder / "confidence.json"),
        described=described,
        descriptions=descriptions,
    )
