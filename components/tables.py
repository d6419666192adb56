"""Writes and reads tables as CSV files, so that reading returns exactly what was written.

A column is text unless the caller says that it has integers. By default, CSV readers would turn the
category ``007`` into a number and ``NA`` into a missing value.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from components.errors import EidolonError

_AT_ONCE = 2**16
"""Rows that are lists of Python's strings at a time: these need ten times the memory of a frame."""


def text(frame: pd.DataFrame) -> str:
    """``frame`` as CSV. Lines end with a newline, and missing values are empty.

    Raises :class:`EidolonError` for a value with a carriage return or a NUL, because CSV readers
    would end the line or the text there.
    """
    written = frame.to_csv(index=False, lineterminator="\n")
    if "\r" in written or "\0" in written:
        held = frame.select_dtypes(exclude="number").astype(str)
        bad = next(v for v in held.to_numpy().ravel() if "\r" in v or "\0" in v)
        raise EidolonError(
            f"{bad!r} has a control character, which a table cannot hold: remove it at its"
            " source, such as a prompt in params.yaml"
        )
    return written


def write(path: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` to ``path`` as UTF-8. Raises what :func:`text` raises."""
    path.write_text(text(frame), encoding="utf-8", newline="\n")


def read(
    path: Path, columns: Iterable[str], remedy: str, numbers: Iterable[str] = ()
) -> pd.DataFrame:
    """Read ``path``, which must have ``columns`` and may have more. ``numbers`` have integers.

    Raises :class:`EidolonError` with the ``remedy`` when it is missing, damaged or lacks a column.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return _parse(lines, columns, str(path), remedy, numbers)
    except FileNotFoundError:
        raise EidolonError(f"{path} is missing: {remedy}") from None


def parse(
    content: str, columns: Iterable[str], name: str, remedy: str, numbers: Iterable[str] = ()
) -> pd.DataFrame:
    """Parse the CSV ``content``, which errors call ``name``. Otherwise like :func:`read`."""
    return _parse(io.StringIO(content, newline=""), columns, name, remedy, numbers)


def _parse(
    lines: Iterable[str], columns: Iterable[str], name: str, remedy: str, numbers: Iterable[str]
) -> pd.DataFrame:
    try:
        rows = (row for row in csv.reader(lines, strict=True) if row)
        header = next(rows, None)
        if header is None:
            raise ValueError("it is empty")
        parts = [_frame(header, [])]
        while some := list(itertools.islice(rows, _AT_ONCE)):
            parts.append(_frame(header, some))
        frame = pd.concat(parts, ignore_index=True)
        frame = frame.astype({column: "int64" for column in numbers if column in frame})
    except (csv.Error, ValueError, OverflowError) as error:  # also of bytes that are not UTF-8
        raise EidolonError(f"{name} is damaged ({error}): {remedy}") from None
    missing = [column for column in columns if column not in frame]
    if missing:
        raise EidolonError(f"{name} is damaged (it lacks the columns {missing}): {remedy}")
    return frame


def _frame(header: list[str], rows: list[list[str]]) -> pd.DataFrame:
    uneven = next((row for row in rows if len(row) != len(header)), None)
    if uneven is not None:
        raise ValueError(f"{uneven} has {len(uneven)} values for {len(header)} columns")
    return pd.DataFrame(rows, columns=header, dtype=str)
