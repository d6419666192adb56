"""The descriptions of categories that the stage `dataset` writes, and later stages read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from components import tables

COLUMNS = ("category", "text")


def load(dataset: Path) -> dict[str, list[str]]:
    """The texts that describe each category, from the folder ``dataset``; empty for a dataset of an
    older release. Raises :class:`EidolonError` when the table is damaged."""
    path = dataset / "descriptions.csv"
    return grouped(tables.read(path, COLUMNS, "run `dvc repro dataset`")) if path.exists() else {}


def write(dataset: Path, frame: pd.DataFrame) -> None:
    """Write ``frame``, with the columns :data:`COLUMNS`, into the folder ``dataset``."""
    tables.write(dataset / "descriptions.csv", frame)


def grouped(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The texts of each category in ``frame``, which has the columns category and text."""
    return {str(name): part["text"].tolist() for name, part in frame.groupby("category")}
