"""Manifests: the table in a folder of pictures that has a row for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import NewType

import pandas as pd

from components import tables
from components.errors import EidolonError

Manifest = NewType("Manifest", pd.DataFrame)

DATASET_COLUMNS = ("path", "category", "split", "subset", "sha256", "pixels", "dhash", "source")
IMAGINED_COLUMNS = ("path", "category", "prompt", "seed", "model", "sha256", "address", "kind")
ACCEPTED_COLUMNS = (*IMAGINED_COLUMNS, "attempt")

_ADDED = {"source": "", "kind": "class"}
"""Columns that the manifests of older releases lack, and the value that they are read as."""

_NUMBERS = ("seed", "attempt")
"""Columns with integers. An owner's own column of a dataset is text, whatever its name is."""


def read(folder: Path, columns: tuple[str, ...], made_by: str) -> Manifest:
    """Read ``folder/manifest.csv`` and check its columns.

    Raises :class:`EidolonError` when it is missing, damaged or empty. ``made_by`` is the command
    that makes it again.
    """
    path = folder / "manifest.csv"
    found = tables.read(path, _required(columns), f"run `{made_by}`", _numbers(columns))
    frame = _completed(found, columns)
    if frame.empty:
        raise EidolonError(f"{path} has no rows: run `{made_by}`")
    return Manifest(frame)


def kept(text: str, columns: tuple[str, ...], name: str) -> Manifest:
    """Parse the manifest ``text`` that a registered version keeps. Errors call it ``name``.

    Raises :class:`EidolonError` when it is damaged.
    """
    remedy = "name another version, or restore the registry's artifacts"
    frame = tables.parse(text, _required(columns), name, remedy, _numbers(columns))
    return Manifest(_completed(frame, columns))


def write(folder: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` as ``folder/manifest.csv``."""
    tables.write(folder / "manifest.csv", frame)


def _required(columns: tuple[str, ...]) -> list[str]:
    return [column for column in columns if column not in _ADDED]


def _numbers(columns: tuple[str, ...]) -> list[str]:
    return [column for column in _NUMBERS if column in columns]


def _completed(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    return frame.assign(**{c: v for c, v in _ADDED.items() if c in columns and c not in frame})
