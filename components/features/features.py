"""Features of a dataset and of its imagined pictures: written by embed, read by all others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from components import tables
from components.errors import EidolonError
from components.paths import FEATURES
from components.vectors import Array

_TABLES = {
    "categories": ("category", "split"),
    "gallery": ("path", "category"),
    "training": ("path", "category"),
}
_ARRAYS = (
    "text",
    "imagined",
    "accepted",
    "gallery_clip",
    "gallery_vision",
    "training_clip",
    "training_vision",
)


@dataclass(frozen=True)
class Features:
    """C categories, K imagined pictures of each, N gallery and M training pictures.

    ``text`` (C, d_clip); ``imagined`` (C, K, d_vision), zero where ``accepted`` (C, K) is false;
    ``gallery_clip`` (N, d_clip), ``gallery_vision`` (N, d_vision); likewise ``training_*`` (M, ·).
    ``categories`` has a row (category, split) per category; ``gallery`` and ``training`` have a row
    (path, category, source) per picture: where it lies in the dataset, and its owner's name for it.
    """

    categories: pd.DataFrame
    gallery: pd.DataFrame
    training: pd.DataFrame
    text: Array
    imagined: Array
    accepted: npt.NDArray[np.bool_]
    gallery_clip: Array
    gallery_vision: Array
    training_clip: Array
    training_vision: Array

    def rows(self, split: str) -> npt.NDArray[np.intp]:
        """Indices of the categories of ``split``."""
        return np.flatnonzero((self.categories["split"] == split).to_numpy())

    def labels(self, frame: pd.DataFrame) -> npt.NDArray[np.intp]:
        """For each row of ``gallery`` or ``training``, the index of its category."""
        index = pd.Index(self.categories["category"])
        return index.get_indexer(pd.Index(frame["category"]))

    def save(self, folder: Path) -> None:
        """Write three tables and one safetensors file into the existing ``folder``."""
        for name in _TABLES:
            tables.write(folder / f"{name}.csv", getattr(self, name))
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        save_file(arrays, folder / "features.safetensors")

    @classmethod
    def load(cls, folder: Path = FEATURES) -> Features:
        """Raises :class:`EidolonError` when a file is missing or damaged."""
        try:
            parts: dict[str, Any] = {
                name: tables.read(folder / f"{name}.csv", columns, "run `dvc repro embed`")
                for name, columns in _TABLES.items()
            }
            arrays = load_file(folder / "features.safetensors")
            parts |= {name: arrays[name] for name in _ARRAYS}
            return cls(**parts)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise EidolonError(
                f"{folder} is missing or damaged ({error}): run `dvc repro embed`"
            ) from None
