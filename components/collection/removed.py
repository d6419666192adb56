"""The list of pictures that were removed for good: `collection/removed.csv`, in git.

It has hashes, the date and the reason, never the picture. Ingestion refuses these pictures, and the
stage `dataset` leaves them out wherever they come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from components import tables
from components.files import write_text
from components.paths import COLLECTION


@dataclass(frozen=True)
class Removed:
    """A picture that was removed.

    ``sha256`` and ``md5`` are the hashes of its file (DVC uses the latter), ``bytes`` is its size,
    and ``pixels`` the hash of what it shows, as in the manifests. ``date`` is a day.
    """

    sha256: str
    md5: str
    bytes: int
    pixels: str
    date: str
    reason: str


COLUMNS = [field.name for field in fields(Removed)]


@dataclass(frozen=True)
class RemovedPictures:
    """The pictures of the list, by the hashes of their files and of their pixels."""

    by_file: dict[str, Removed]
    by_pixels: dict[str, Removed]

    @classmethod
    def read(cls, folder: Path = COLLECTION) -> RemovedPictures:
        """The list in ``folder``, empty if there is none. Raises :class:`EidolonError` when it is
        damaged."""
        rows = listed(folder)
        return cls({row.sha256: row for row in rows}, {row.pixels: row for row in rows})

    def find(self, sha256: str, pixels: str) -> Removed | None:
        """The entry of a picture with one of these hashes, or ``None``."""
        return self.by_file.get(sha256) or self.by_pixels.get(pixels)


def listed(folder: Path = COLLECTION) -> list[Removed]:
    """The list in ``folder``, oldest first. Raises :class:`EidolonError` when it is damaged."""
    path = folder / "removed.csv"
    if not path.exists():
        return []
    frame = tables.read(path, COLUMNS, f"run `git checkout {path}`", ("bytes",))
    return [Removed(*row) for row in frame[COLUMNS].itertuples(index=False)]


def add(new: Iterable[Removed], folder: Path = COLLECTION) -> None:
    """Add ``new`` to the list in ``folder``. The caller holds the lock of the collection."""
    rows = {row.sha256: row for row in [*new, *listed(folder)]}  # the first entry stays
    frame = pd.DataFrame([asdict(row) for row in reversed(rows.values())], columns=COLUMNS)
    write_text(folder / "removed.csv", tables.text(frame))


def without(manifest: str, name: str, folder: Path = COLLECTION) -> str:
    """The text of a ``manifest``, which errors call ``name``, without the rows of pictures that the
    list in ``folder`` has."""
    gone = {row.pixels for row in listed(folder)}
    if not gone:
        return manifest
    rows = tables.parse(manifest, ("pixels",), name, "name another version")
    return tables.text(rows[~rows["pixels"].isin(gone)])
