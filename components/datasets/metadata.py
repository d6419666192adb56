"""What an owner says of each picture, in columns of the owner's own: metadata.csv.

The file lies at the top of dataset.source. Its column ``path`` has a picture's path below the
source, and every other column is text. The columns join the dataset's manifest, and with it the
bundle's gallery: searches filter by them, and hits show them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import pandas as pd

from components import tables
from components.datasets.adapter import Picture
from components.errors import EidolonError
from components.manifest import DATASET_COLUMNS

FILE = "metadata.csv"
_NAME = re.compile(r"\w[\w .-]*")
"""Names of columns. A filter is written ``column=value``, and ``column:value`` in an address."""

_REMEDY = f"correct it, or rename it if it is no {FILE} as docs/datasets.md describes it"

Values = tuple[str, ...]


@dataclass(frozen=True)
class Metadata:
    """The owner's ``columns``, and the values of the pictures that have some."""

    columns: tuple[str, ...]
    values: Mapping[Picture, Values]

    def of(self, picture: Picture) -> Values:
        """The values of ``picture``, empty where the owner gives none."""
        return self.values.get(picture, ("",) * len(self.columns))

    def unused(self, pictures: Iterable[Picture]) -> int:
        """How many of the files that have values are none of ``pictures``."""
        return len(set(self.values).difference(pictures))


def read(source: Path | None) -> Metadata:
    """The metadata in the folder ``source``; none where it has no metadata.csv.

    Raises :class:`EidolonError` when the file is damaged or has no column ``path``, when a column
    cannot have its name, and for a row of a file that ``source`` lacks or that has a row already.
    """
    if source is None or not (source / FILE).is_file():
        return Metadata((), {})
    path = source / FILE
    frame = _table(path)
    columns = _columns(path, frame)
    rows: dict[Picture, tuple[int, Values]] = {}
    for number, (name, *own) in enumerate(frame[["path", *columns]].to_numpy().tolist(), 2):
        file = source / name
        if not _is_below(source, name):
            raise EidolonError(
                f"{path}, row {number}: {source} has no file {name!r}: give its path below that"
                " folder, such as fox/1.jpg, or remove the row"
            )
        if file in rows:
            raise EidolonError(
                f"{path}, row {number}: {name} is in row {rows[file][0]} too: remove one of them"
            )
        rows[file] = number, tuple(" ".join(value.split()) for value in own)
    return Metadata(columns, {file: own for file, (_, own) in rows.items()})


def _table(path: Path) -> pd.DataFrame:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise EidolonError(f"{path} cannot be read ({error}): save it as CSV in UTF-8") from None
    return tables.parse(text, ("path",), str(path), _REMEDY)


def _columns(path: Path, frame: pd.DataFrame) -> tuple[str, ...]:
    """The owner's columns. Raises :class:`EidolonError` when one cannot have its name."""
    taken = set(DATASET_COLUMNS) - {"path"}
    for column in frame.columns:
        if not _NAME.fullmatch(column):
            why = "cannot be a name: use letters, digits, spaces, `_`, `-` and dots"
        elif column.lower() in taken:
            why = "is Eidolon's own, or there twice: give it another name"
        else:
            taken.add(column.lower())
            continue
        raise EidolonError(f"{path}, row 1: the column {column!r} {why}")
    return tuple(column for column in frame.columns if column != "path")


def _is_below(source: Path, name: str) -> bool:
    """Whether ``name`` is the path of a file below ``source``, as a table has it."""
    relative = PurePath(name)
    if relative.is_absolute() or ".." in relative.parts:
        return False
    return os.path.isfile(source / relative)  # noqa: PTH113 - false for any text that is no path
