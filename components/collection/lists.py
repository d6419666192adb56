"""Reads lists of files, as people and spreadsheets write them: PATH or PATH,CATEGORY per line."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import IO, NamedTuple

from components.errors import EidolonError

SUFFIXES = (".csv", ".txt")
_HEADERS = (["path"], ["path", "category"])


class Line(NamedTuple):
    """A line of a list. ``number`` counts lines from 1.

    ``file`` is absolute, and links among its folders are resolved. ``category`` is ``None`` if the
    line names none.
    """

    number: int
    file: Path
    category: str | None


def read(path: Path, raw: IO[bytes]) -> Iterator[Line]:
    """The lines of ``raw``, the open list at ``path``. Relative paths start from its folder.

    Blank lines, a header and lines that start with ``#`` are skipped. Raises
    :class:`EidolonError` for the first line that is invalid.
    """
    number = 1
    try:
        rows = csv.reader(
            io.StringIO(raw.read().decode("utf-8-sig"), newline=""),
            strict=True,
            skipinitialspace=True,
        )
        for row in rows:
            words = [word.strip().lower() for word in row]
            if any(words) and not words[0].startswith("#") and words not in _HEADERS:
                yield _line(number, row, path.parent)
            number = rows.line_num + 1
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise EidolonError(
            f"{path} is not a list of files: line {number} is not UTF-8; save it as UTF-8"
        ) from None
    except (csv.Error, OSError, ValueError) as error:
        raise EidolonError(f"{path} is not a list of files: line {number}: {error}") from None


def _line(number: int, row: list[str], folder: Path) -> Line:
    if len(row) > 2 or not row[0].strip() or "\0" in row[0]:
        raise ValueError(
            f"{','.join(row)!r} is not PATH or PATH,CATEGORY (a comma in a path or a name needs"
            ' quotes around it: "a, b.png")'
        )
    return Line(number, _named(folder, row[0]), row[1] if len(row) == 2 else None)


def _named(folder: Path, text: str) -> Path:
    """The file that ``text`` means.

    It is the first of these that exists: ``text`` as written, without spaces around it, with ``~``
    expanded, with Windows separators. Raises ``ValueError`` for a path on a Windows drive.
    """
    plain = text.strip()
    windows = PureWindowsPath(plain)
    forms = [text, plain, os.path.expanduser(plain), windows.as_posix()]  # noqa: PTH111 - of text
    found = [folder / form for form in forms if os.path.lexists(folder / form)]
    if not found and windows.drive:
        raise ValueError(f"{plain!r} is on a Windows drive: give paths relative to the list")
    file = found[0] if found else folder / forms[-1]
    return Path(os.path.realpath(file.parent)) / file.name
