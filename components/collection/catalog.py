"""The collection: every picture that was ever ingested, as git and DVC version it.

    collection/manifest.csv     one row each, in the order of arrival; in git
    collection/pictures/        the files as they came, named by their content; by DVC
    collection/pictures.dvc     what DVC calls them; in git

The stage `dataset` merges it with what the adapter yields. Rows are only ever appended, by one
rename, so that a process killed at any moment leaves the old manifest or the new one. What was
added and not yet announced to Airflow is listed in an outbox, which the DAG `ingest` empties.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from components import tables
from components.collection import outbox
from components.collection.quarantine import Item, put_aside
from components.errors import EidolonError
from components.files import remove_leftovers, write_text
from components.locks import held
from components.paths import COLLECTION, HOME, QUARANTINE, RESTORING
from components.versioning.dvc import DESCRIBED

UNPACKED = "unpacked-"
"""How the names of the temporary folders of an archive's files begin, in .eidolon."""

_LOCK = HOME / "ingest.lock"


@dataclass(frozen=True)
class Picture:
    """One row. ``path`` lies under pictures/; ``sha256`` is the file's, ``pixels`` and ``dhash``
    are its :class:`components.images.hashing.Likeness`; ``source`` is what it was ingested from,
    ``file`` the name in it by which the giver knows the picture."""

    path: str
    category: str
    sha256: str
    pixels: str
    dhash: str
    bytes: int
    source: str
    file: str


COLUMNS = [field.name for field in fields(Picture)]


def pictures_folder(folder: Path = COLLECTION) -> Path:
    """Where the files are."""
    return folder / "pictures"


def read(folder: Path = COLLECTION) -> pd.DataFrame:
    """The manifest; no rows where nothing was ever ingested. Raises :class:`EidolonError` when it
    is damaged."""
    path = folder / "manifest.csv"
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    frame = tables.read(path, COLUMNS[:-1], f"`git checkout {path}`")
    if list(frame.columns) == COLUMNS[:-1]:  # of an older release
        frame = frame.assign(file=frame["source"])
    if list(frame.columns) != COLUMNS:
        raise EidolonError(f"{path} has not the columns {COLUMNS}: `git checkout {path}`")
    return frame


def files(folder: Path = COLLECTION) -> list[Path]:
    """The file of each row. Raises :class:`EidolonError` when one is not there."""
    paths = [pictures_folder(folder) / path for path in read(folder)["path"]]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise EidolonError(f"{missing} is missing: `dvc pull {folder}/pictures.dvc`")
    return paths


def printable(name: str) -> str:
    """``name`` with a mark for each character that no table can hold: control characters, line
    ends, and bytes that are not UTF-8."""
    odd = ("Cc", "Cs", "Zl", "Zp")
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in odd else c for c in name
    )


@contextmanager
def locked() -> Iterator[None]:
    """Held by whoever adds or restores pictures, and by the stage that reads them, or else DVC
    would record that it has read what came while it ran: one waits for the other. What a killed
    holder left unfinished is removed."""
    with held(_LOCK):
        for left in (*HOME.glob(f"{UNPACKED}*"), *COLLECTION.glob(f"{DESCRIBED}*")):
            shutil.rmtree(left, ignore_errors=True)
        for folder in (COLLECTION, QUARANTINE):
            remove_leftovers(folder)
        yield


def append(added: Sequence[Picture], folder: Path = COLLECTION) -> None:
    """Add rows, whose files lie in their places, at the end of the manifest and to the outbox."""
    if not added:
        return
    os.sync()  # the pictures are on the disk before the rows that name them
    RESTORING.unlink(missing_ok=True)  # what is here is not that version alone any more
    # the outbox first: what the manifest has is announced, however early the process ends
    outbox.put(p.path for p in added)
    rows = pd.DataFrame([asdict(picture) for picture in added], columns=COLUMNS)
    write_text(folder / "manifest.csv", tables.text(pd.concat([read(folder), rows])))


def sweep(folder: Path = COLLECTION, quarantine: Path = QUARANTINE) -> None:
    """Move files without a row to the quarantine: a killed process left them, or somebody."""
    root, listed = pictures_folder(folder), set(read(folder)["path"])
    strays = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).as_posix() not in listed
    ]
    if strays:
        why = f"lay in {root} without a row in the manifest"
        put_aside((Item(str(p), None, "stray", why, p.read_bytes()) for p in strays), quarantine)
        for path in strays:
            path.unlink()


def unannounced(folder: Path = COLLECTION) -> list[str]:
    """The paths of the manifest's rows that Airflow has not been told of, oldest first."""
    rows = set(read(folder)["path"])
    return [path for path in outbox.listed() if path in rows]


def announced(last: str) -> None:
    """Record that Airflow was told of everything up to the picture ``last``. Calling it twice does
    no harm."""
    with locked():
        outbox.remove_up_to(last)
