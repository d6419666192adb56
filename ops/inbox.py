"""The inbox: whatever people or programs put into `inbox/` is ingested by the DAG `ingest`.

An entry of it is a folder, an archive or a list; see components.collection.ingest. It is taken once
nothing in it has changed for a while, so that a copy that is still going on is not taken for
damage. The time that counts is that of the last change of a file's content, name or attributes
(`st_ctime`), which no program can set: `cp -p`, rsync and tar give new files old modification
times.

Whoever can write there is not trusted with more than that: nothing outside the inbox is read.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.collection.quarantine import new_folder, write_reasons
from components.errors import EidolonError
from components.paths import INBOX, INGESTED, QUARANTINE

SOURCES = "EIDOLON_SOURCES"
"""The variable with the folders beside the inbox that Airflow's users may name sources in."""

GIVEN = "given"
"""The folder of a refusal that holds the entry, whatever that is called; reasons.csv is beside."""

_TICK = 10_000_000  # ns by which the time of a new file may lag: Linux takes that of its last tick

State = frozenset[tuple[str, int, int, int, int]]
"""Path, inode, size in bytes, and times of modification and change in ns, of all that there is."""


@dataclass(frozen=True)
class Entry:
    """An entry, and its state when it was looked at."""

    path: Path
    state: State

    def changed(self) -> bool:
        """Whether it is another one now, or gone."""
        return _state(self.path) != self.state


def settled(seconds: float) -> list[Entry]:
    """The entries that have not changed for ``seconds``, by name."""
    if not INBOX.is_dir():
        return []
    latest = _now() + _TICK - round(seconds * 1e9)
    found = []
    for path in sorted(p for p in INBOX.iterdir() if not p.name.startswith(".")):
        state = _state(path)
        if state is not None and max(changed for *_, changed in state) <= latest:
            found.append(Entry(path, state))
    return found


def room(source: Path) -> Path:
    """The folder that ``source``, named by a user of Airflow, lies in and may not lead out of: the
    inbox, or one of the folders in ``EIDOLON_SOURCES``, which whoever runs Airflow sets.

    Raises :class:`EidolonError` for a source elsewhere, whether it exists or not: that user may be
    a stranger to this machine.
    """
    more = filter(None, os.environ.get(SOURCES, "").split(os.pathsep))
    real = Path(os.path.realpath(os.path.expanduser(source)))  # noqa: PTH111 - as `ingest` does
    for folder in (INBOX, *map(Path, more)):
        if real.is_relative_to(os.path.realpath(folder)):
            return folder
    raise EidolonError(
        f"{source} lies neither in {INBOX}/ nor in a folder of {SOURCES}, which is all that may be"
        f" read for Airflow: put it there, or run `eidolon ingest {source}`"
    )


def done(entry: Entry) -> bool:
    """Move an entry that was ingested to the outbox, for whoever wants it back. One that changed
    meanwhile stays, and false is returned: it may hold what was not seen."""
    if entry.changed():
        return False
    shutil.move(entry.path, new_folder(INGESTED) / entry.path.name)
    return True


def refuse(entry: Entry, reason: str) -> bool:
    """Move an entry that could not be read at all to the quarantine, with the reason. One that
    changed meanwhile stays, and false is returned: it was not whole."""
    if entry.changed():
        return False
    place = new_folder(QUARANTINE)
    # first, so that nothing lies there without a reason
    copy = f"{GIVEN}/{entry.path.name}"
    write_reasons(place, [(entry.path, "", "source", reason, "", copy)])
    (place / GIVEN).mkdir()
    shutil.move(entry.path, place / copy)
    return True


def _now() -> int:
    """The time in ns of the inbox's file system, whose clock may be another machine's."""
    with tempfile.TemporaryFile(dir=INBOX) as file:
        return os.fstat(file.fileno()).st_ctime_ns


def _state(entry: Path) -> State | None:
    """The state of ``entry``; nothing when a part of it vanished, and so is changing."""
    paths = [entry]
    if entry.is_dir() and not entry.is_symlink():
        for place, folders, files in os.walk(entry):
            paths += [Path(place) / name for name in (*folders, *files)]
    found = []
    for path in paths:
        try:
            at = path.lstat()
        except FileNotFoundError:
            return None
        found.append((str(path), at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns))
    return frozenset(found)
