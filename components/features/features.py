"""The features of a dataset and of its imagined pictures: `embed` writes them, later stages read
them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import tables
from components.arrays import create, mapped
from components.errors import EidolonError
from components.features.queries import Bools, Queries, combined, from_arrays, to_arrays
from components.kinds import CLASS, DESCRIPTION, KINDS, Kind
from components.paths import FEATURES
from components.vectors import Array

FILE = "features.safetensors"
"""The file of all arrays, in the folder of the features."""

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

_ROWS = 2**14  # of an array that are written at a time


@dataclass(frozen=True)
class Features:
    """Features of C categories with K imagined pictures each, of N gallery and M training pictures.

    ``text`` is (C, d_clip). ``imagined`` is (C, K, d_vision), zero where ``accepted`` (C, K) is
    false. These are the queries by name; ``described`` are those by description, if the dataset has
    any: :meth:`of` gives each kind.

    ``gallery_clip`` is (N, d_clip) and ``gallery_vision`` (N, d_vision); likewise ``training_clip``
    and ``training_vision`` with M rows.

    ``categories`` has the columns category and split. ``gallery`` and ``training`` have the columns
    path (within the dataset), category, and source (the owner's name for the picture).
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
    described: Queries | None = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of query that there are."""
        return (CLASS,) if self.described is None else KINDS

    def queries(self, kind: Kind, rows: npt.NDArray[np.intp] | None = None) -> Queries:
        """The queries of one ``kind``, for all categories or for ``rows`` alone. A category without
        such a query has zeros."""
        names, described = Queries(self.text, self.imagined, self.accepted), self.described
        if rows is not None:
            names, described = names.of(rows), None if described is None else described.of(rows)
        if described is None or kind == CLASS:
            return names
        return described if kind == DESCRIPTION else combined(names, described)

    def of(self, kind: Kind) -> Features:
        """The same with the queries of one ``kind`` alone, as ``text``, ``imagined`` and
        ``accepted``. Categories without such a query have zeros there: see :meth:`asked`."""
        return replace(self, **vars(self.queries(kind)), described=None)

    def asked(self) -> Bools:
        """The categories (C,) that have a query of the kind that this was made for by :meth:`of`.
        Each has one by name."""
        return self.queries(CLASS).exist

    def rows(self, split: str) -> npt.NDArray[np.intp]:
        """The indices of the categories of ``split``."""
        return np.flatnonzero((self.categories["split"] == split).to_numpy())

    def labels(self, frame: pd.DataFrame) -> npt.NDArray[np.intp]:
        """The index of the category of each row of ``frame``: of ``gallery`` or ``training``."""
        index = pd.Index(self.categories["category"])
        return index.get_indexer(pd.Index(frame["category"]))

    def save(self, folder: Path) -> None:
        """Write three tables and one safetensors file into the existing ``folder``, without a
        second copy of the arrays in memory."""
        self.save_tables(folder)
        arrays = {name: getattr(self, name) for name in _ARRAYS} | to_arrays(self.described)
        made = create(
            folder / FILE, {name: (array.shape, array.dtype) for name, array in arrays.items()}
        )
        for name, array in arrays.items():
            for first in range(0, len(array), _ROWS):
                made[name][first : first + _ROWS] = array[first : first + _ROWS]

    def save_tables(self, folder: Path) -> None:
        """Write the tables alone, for arrays that were created in ``folder`` and filled there."""
        for name in _TABLES:
            tables.write(folder / f"{name}.csv", getattr(self, name))

    @classmethod
    def load(cls, folder: Path = FEATURES) -> Features:
        """Read what :meth:`save` wrote. The arrays are mapped into memory, and read-only.

        Raises :class:`EidolonError` when a file is missing or damaged.
        """
        remedy = "run `dvc repro embed`"
        parts: dict[str, Any] = {
            name: tables.read(folder / f"{name}.csv", columns, remedy)
            for name, columns in _TABLES.items()
        }
        try:
            found = mapped(folder / FILE)
            arrays = {name: np.asarray(array) for name, array in found.items()}
            parts |= {name: arrays[name] for name in _ARRAYS}
            return cls(**parts, described=from_arrays(arrays))
        except EidolonError as error:
            raise EidolonError(f"{error}: {remedy}") from None
        except (KeyError, TypeError) as error:
            raise EidolonError(f"{folder} is damaged ({error}): {remedy}") from None
