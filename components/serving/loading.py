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
from components.errors import EidolonError
from components.files import read_json, sha256
from components.index.gallery import Gallery
from components.learning.aggregator import Aggregator

FORMAT = 4
"""The format of bundle.json that this release reads and writes."""


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. Row i of ``text`` and ``aggregated`` holds the embeddings of row i of
    ``categories``."""

    folder: Path
    info: dict[str, Any]
    aggregator: Aggregator
    gallery: Gallery
    text: np.ndarray
    aggregated: np.ndarray
    pictures: pd.DataFrame
    categories: pd.DataFrame

    def picture(self, path: str) -> bytes:
        """The bytes of the picture ``path`` in pictures.zip.

        Raises :class:`KeyError` if there is no such picture.
        """
        return self._archive.read(path)

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        # kept open: listing thousands of members takes longer than reading a picture
        return zipfile.ZipFile(self.folder / "pictures.zip")


def load(folder: Path) -> Bundle:
    """Load the bundle in ``folder``, and check the hash of each of its files.

    Raises :class:`EidolonError` when the bundle has another format, or a file is missing, damaged,
    or not the one that was packed.
    """
    remedy = "get the bundle from the registry again, or run `dvc repro bundle`"
    info = read_json(folder / "bundle.json", remedy)
    if info.get("format") != FORMAT:
        raise EidolonError(f"{folder} has format {info.get('format')}, not {FORMAT}: {remedy}")
    for name, digest in info["files"].items():
        path = folder / name
        if not path.is_file() or sha256(path) != digest:
            raise EidolonError(f"{path} is missing or not the file that was packed: {remedy}")
    gallery = load_file(folder / "gallery.safetensors")
    queries = load_file(folder / "queries.safetensors")
    return Bundle(
        folder=folder,
        info=info,
        aggregator=Aggregator.load(folder / "aggregator.safetensors"),
        gallery=Gallery(**gallery),
        text=queries["text"],
        aggregated=queries["aggregated"],
        pictures=tables.read(folder / "gallery.csv", ("path", "category"), remedy),
        categories=tables.read(
            folder / "categories.csv", ("category", "split", "pictures", "seeds"), remedy
        ),
    )
