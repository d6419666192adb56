"""The catalog of the collection, which has every picture that was ever ingested.

    collection/pictures/                the unchanged files, named by their hashes
    collection/pictures/manifest.csv    a row per picture, in the order of arrival
    collection/pictures.dvc             the version of pictures/, which DVC keeps; versioned by git

The stage `dataset` merges the collection with the adapter's categories. Rows are appended, and only
a removal takes some out. A rename replaces the manifest, so a process that is killed leaves either
the old one or the new one. An outbox lists pictures that were not yet announced to Airflow; the DAG
`ingest` empties it.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from components import tables
from components.collection import outbox
from components.collection.quarantine import Item, put_aside
from components.collection.removed import RemovedPictures
from components.errors import EidolonError
from components.files import (
    copy_contents,
    file_aside,
    remove_leftovers,
    sha256,
    write_text,
)
from components.locks import held
from components.paths import COLLECTED, COLLECTION, HOME, PICTURES, POINTER, QUARANTINE, RESTORING
from components.versioning.dvc import DESCRIBED

UNPACKED = "unpacked-"
"""Prefix of the temporary folders in .eidolon into which archives are unpacked."""

_LOCK = HOME / "ingest.lock"


@dataclass(frozen=True)
class Picture:
    """A row of the manifest.

    ``path`` is relative to pictures/. ``sha256`` is the file's hash, ``pixels`` and ``dhash`` are
    its :class:`components.images.hashing.ImageHashes`. ``source`` is the name of what it was
    ingested from, ``file`` its owner's name for it there.
    """

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
    """The folder of the picture files."""
    return folder / PICTURES.name


def manifest_of(folder: Path = COLLECTION) -> Path:
    """The file of the manifest."""
    return pictures_folder(folder) / COLLECTED.name


def read(folder: Path = COLLECTION) -> pd.DataFrame:
    """The manifest, without rows if nothing was ever ingested.

    Raises :class:`EidolonError` when it is damaged, and when it is not here though the collection
    has a version.
    """
    path, pointer = _place(folder), folder / POINTER.name
    if not path.exists():
        if pointer.exists():
            raise EidolonError(f"{path} is missing: run `dvc pull {pointer}`")
        return pd.DataFrame(columns=COLUMNS)
    remedy = f"run `dvc checkout --force {pointer}`"
    frame = tables.read(path, COLUMNS[:-1], remedy)
    if list(frame.columns) == COLUMNS[:-1]:  # of an older release
        frame = frame.assign(file=frame["source"])
    if list(frame.columns) != COLUMNS:
        raise EidolonError(f"{path} does not have the columns {COLUMNS}: {remedy}")
    return frame


def is_here(folder: Path = COLLECTION) -> bool:
    """Whether there is a manifest."""
    return _place(folder).exists()


def _place(folder: Path) -> Path:
    """Where the manifest is or will be."""
    here, older = manifest_of(folder), _older(folder)
    return older if older.exists() and not here.exists() else here


def _older(folder: Path) -> Path:
    """Where older releases had the manifest: in git."""
    return folder / COLLECTED.name


def files(folder: Path = COLLECTION) -> list[Path]:
    """The file of each row. Raises :class:`EidolonError` when one is missing."""
    return [Path(path) for path in paths_of(read(folder), folder)]


def paths_of(rows: pd.DataFrame, folder: Path = COLLECTION) -> list[str]:
    """The path of the file of each of ``rows``. Raises :class:`EidolonError` when one is missing.

    They are text: with a million rows, checking and keeping :class:`Path` costs much.
    """
    root = f"{pictures_folder(folder)}/"
    paths = [root + path for path in rows["path"].tolist()]
    missing = next((path for path in paths if not os.path.isfile(path)), None)  # noqa: PTH113
    if missing is not None:
        raise EidolonError(f"{missing} is missing: run `dvc pull {folder}/pictures.dvc`")
    return paths


def printable(name: str) -> str:
    """``name`` with U+FFFD for each character that a table cannot hold.

    These are control characters, line ends, and bytes that are not UTF-8.
    """
    odd = ("Cc", "Cs", "Zl", "Zp")
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in odd else c for c in name
    )


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of the collection. Waits while another process holds it.

    Take it to add, restore or read pictures. The stage that reads them needs it too, because DVC
    would otherwise record pictures as read that came while the stage ran. Removes what a killed
    process left unfinished.
    """
    with held(_LOCK):
        for left in (*HOME.glob(f"{UNPACKED}*"), *COLLECTION.glob(f"{DESCRIBED}*")):
            shutil.rmtree(left, ignore_errors=True)
        for folder in (COLLECTION, PICTURES, QUARANTINE):
            remove_leftovers(folder)
        yield


def append(added: Sequence[Picture], folder: Path = COLLECTION) -> None:
    """Append rows to the manifest and the outbox. Their files must already be in pictures/."""
    if not added:
        return
    os.sync()  # the pictures must be on the disk before the rows that name them
    RESTORING.unlink(missing_ok=True)  # the collection is no longer just that version
    # the outbox comes first, so that a killed process leaves no row that is never announced
    outbox.put(p.path for p in added)
    rows = pd.DataFrame([asdict(picture) for picture in added], columns=COLUMNS)
    path, header = manifest_of(folder), f"{','.join(COLUMNS)}\n"
    if not _begins_and_ends(path, header):  # it is new, of an older release, or edited by hand
        write(pd.concat([read(folder), rows]), folder)
        return
    with file_aside(path) as aside:
        copy_contents(path, aside)
        with aside.open("a", encoding="utf-8", newline="\n") as end:
            end.write(tables.text(rows).removeprefix(header))


def write(rows: pd.DataFrame, folder: Path = COLLECTION) -> None:
    """Replace the manifest."""
    write_text(manifest_of(folder), tables.text(rows))
    _older(folder).unlink(missing_ok=True)


def _begins_and_ends(path: Path, header: str) -> bool:
    """Whether a table has this ``header``, and its last line has an end."""
    if not path.is_file():
        return False
    with path.open("rb") as table:
        if table.readline() != header.encode():
            return False
        table.seek(-1, os.SEEK_END)
        return table.read() == b"\n"


def sweep(folder: Path = COLLECTION, quarantine: Path = QUARANTINE) -> pd.DataFrame:
    """Move files without a row to the quarantine, such as those that a killed process left.

    Returns the manifest.
    """
    remove_strays(RemovedPictures.read(folder).by_file, folder)  # a removal was killed
    rows = read(folder)
    strays = _strays(folder, rows)
    if strays:
        why = f"was in {pictures_folder(folder)} without a row in the manifest"
        put_aside((Item(str(p), None, "stray", why, p.read_bytes()) for p in strays), quarantine)
        for path in strays:
            path.unlink()
    return rows


def remove_strays(hashes: Collection[str], folder: Path = COLLECTION) -> int:
    """Remove files without a row whose SHA-256 is in ``hashes``. Returns how many there were."""
    if not hashes:
        return 0
    gone = [path for path in _strays(folder, read(folder)) if sha256(path) in hashes]
    for path in gone:
        path.unlink()
    return len(gone)


def _strays(folder: Path, rows: pd.DataFrame) -> list[Path]:
    """The files of pictures without a row in the manifest ``rows``."""
    root, listed = pictures_folder(folder), {*rows["path"], COLLECTED.name}
    strays = [
        Path(place, name)
        for place, _, names in os.walk(root)
        for below in [Path(place).relative_to(root).as_posix()]
        for name in names
        if f"{below}/{name}".removeprefix("./") not in listed
    ]
    return sorted(strays)


def unannounced(folder: Path = COLLECTION) -> list[str]:
    """The paths of pictures that were not yet announced to Airflow, oldest first."""
    listed = outbox.listed()
    rows = set(read(folder)["path"]) if listed else set()
    return [path for path in listed if path in rows]


def mark_announced(last: str) -> None:
    """Record that all pictures up to ``last`` were announced to Airflow. Safe to call twice."""
    with locked():
        outbox.remove_up_to(last)
