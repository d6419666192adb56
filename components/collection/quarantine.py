"""The quarantine: keeps refused files, with their reasons, in a new folder for each ingestion."""

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
    """A refused file.

    ``file`` is its owner's name for it, ``category`` the category that it came with, if any.
    ``kind`` is the kind of ``reason``. ``data`` is the content to keep, if any. ``like`` names the
    picture that it is a copy of, if that is the reason.
    """

    file: str
    category: str | None
    kind: str
    reason: str
    data: bytes | None
    like: str = ""


def put_aside(items: Iterable[Item], root: Path = QUARANTINE) -> Path:
    """Write reasons.csv and the copies to a new folder in ``root``, in one step. Returns it."""
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
    """Write reasons.csv to ``folder``: a row of :data:`REASONS` per refused file."""
    with (folder / "reasons.csv").open("w", newline="", errors="backslashreplace") as file:
        csv.writer(file).writerows([REASONS, *rows])


def new_folder(root: Path) -> Path:
    """Make a folder in ``root``. Its name is the current time in UTC, so names sort by time."""
    while True:
        folder = root / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue  # another process made one in the same microsecond


def is_reasons(name: str, raw: IO[bytes]) -> bool:
    """Whether ``raw``, a file called ``name``, is a quarantine's reasons.csv."""
    if name != "reasons.csv":
        return False
    header = raw.readline(256).decode(errors="replace").strip()
    raw.seek(0)
    return header == ",".join(REASONS)


def copies(reasons: Path, raw: IO[bytes]) -> list[tuple[Path, str | None, str]]:
    """The copy, the category and the owner's name of each file that was kept.

    ``raw`` is the open reasons.csv at ``reasons``. The category is ``None`` if there was none.
    Raises :class:`EidolonError` for a damaged file.
    """
    found = []
    try:
        text = io.StringIO(raw.read().decode(), newline="")
        for row in csv.DictReader(text, strict=True):
            if row["copy"]:
                copy = reasons.parent / Path(row["copy"]).name
                found.append((copy, row["category"] or None, row["file"]))
    except (csv.Error, UnicodeDecodeError) as error:
        raise EidolonError(
            f"{reasons} is damaged ({error}): ingest the folder of its copies instead"
        ) from None
    return found
