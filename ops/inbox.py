"""The inbox: whatever people or programs put into `inbox/` is ingested by the DAG `ingest`.

An entry of it is a folder, an archive or a list; see components.data.ingest. It is taken once
nothing in it has changed for a minute, so that a copy that is still going on is not taken for
damage.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from components.data.quarantine import stamp, write_reasons
from components.paths import INBOX, INGESTED, QUARANTINE

SETTLED = 60.0  # seconds without a change


def settled() -> list[Path]:
    """The entries that may be taken, by name."""
    if not INBOX.is_dir():
        return []
    latest = time.time() - SETTLED
    entries = sorted(p for p in INBOX.iterdir() if not p.name.startswith("."))
    return [entry for entry in entries if _changed(entry) <= latest]


def done(entry: Path) -> None:
    """Move an entry that was ingested to the outbox, for whoever wants it back."""
    _move(entry, INGESTED / stamp())


def refuse(entry: Path, reason: str) -> None:
    """Move an entry that could not be read at all to the quarantine, with the reason."""
    place = QUARANTINE / stamp()
    _move(entry, place)
    write_reasons(place, [(entry, "", "source", reason, entry.name)])


def _changed(entry: Path) -> float:
    inside = entry.rglob("*") if entry.is_dir() and not entry.is_symlink() else ()
    return max(path.lstat().st_mtime for path in (entry, *inside))


def _move(entry: Path, place: Path) -> None:
    place.mkdir(parents=True)
    shutil.move(entry, place / entry.name)
