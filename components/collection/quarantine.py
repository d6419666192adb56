"""The quarantine: what was not taken, a folder for each time, with reasons.csv."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from components.errors import EidolonError
from components.files import folder_aside
from components.paths import QUARANTINE, REASONS


@dataclass(frozen=True)
class Item:
    """A file that was not taken: the name that its giver knows it by, the category that it was said
    to show, the kind of reason and the reason, its bytes where they are to be kept, and the name of
    the picture that it is ``like``, where the reason is one."""

    file: str
    category: str | None
    kind: str
    reason: str
    data: bytes | None
    like: str = ""


def put_aside(items: Iterable[Item], root: Path = QUARANTINE) -> Path:
    """Write reasons.csv and copies into a new folder of ``root``, in one step; that folder."""
    target = new_folder(root)
    rows: list[Sequence[object]] = []
    with folder_aside(target) as aside:
        for i, item in enumerate(items):
            copy = ""
            if item.data is not None:
                name = re.sub(r"[^\w.-]", "_", Path(item.file).name)
                copy = f"{i:05d}-{name[-100:]}"
                (aside / copy).write_bytes(item.data)
            rows.append((item.file, item.category, item.kind, item.reason, item.like, copy))
        write_reasons(aside, rows)
    return target


def write_reasons(folder: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write reasons.csv: a row of :data:`REASONS` for each file that was not taken."""
    with (folder / "reasons.csv").open("w", newline="", errors="backslashreplace") as file:
        csv.writer(file).writerows([REASONS, *rows])


def new_folder(root: Path) -> Path:
    """Make a folder in ``root`` that is named by this moment, in UTC; names sort by time."""
    while True:
        folder = root / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue  # another process makes one in the same microsecond


def is_reasons(name: str, raw: IO[bytes]) -> bool:
    """Whether ``raw``, a file called ``name``, is a quarantine's reasons.csv."""
    if name != "reasons.csv":
        return False
    header = raw.readline(256).decode(errors="replace").strip()
    raw.seek(0)
    return header == ",".join(REASONS)


def copies(reasons: Path, raw: IO[bytes]) -> list[tuple[Path, str | None, str]]:
    """The copy, the category and the name of each file that ``raw``, which lies at ``reasons``,
    keeps a copy of; no category where none was named. Raises :class:`EidolonError` for a damaged
    list."""
    found = []
    try:
        text = io.StringIO(raw.read().decode(), newline="")
        for row in csv.DictReader(text, strict=True):
            if row["copy"]:
                copy = reasons.parent / Path(row["copy"]).name
                found.append((copy, row["category"] or None, row["file"]))
    except (csv.Error, UnicodeDecodeError) as error:
        raise EidolonError(
            f"{reasons} is damaged ({error}): name a folder with its copies"
        ) from None
    return found
