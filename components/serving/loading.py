"""A bundle as it is read: every file checked against its hash."""

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
        """The bytes of one picture of pictures.zip. Raises ``KeyError`` when there is none."""
        return self._archive.read(path)

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        # kept open: reading the list of thousands of members takes longer than a picture
        return zipfile.ZipFile(self.folder / "pictures.zip")


def load(folder: Path) -> Bundle:
    """Load a bundle and check the hash of each of its files.

    Raises :class:`EidolonError` when a file is missing, damaged, or not the one that was packed.
    """
    remedy = "take the bundle anew from the registry, or run `dvc repro bundle`"
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
