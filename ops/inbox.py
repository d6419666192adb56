"""The inbox: the DAG `ingest` ingests what people or programs put into `inbox/`.

An entry is a folder, an archive or a list; see components.collection.ingest. It is taken when
nothing in it has changed for a while, because a copy that is still going on would look damaged. The
time that counts is that of the last change of a file's content, name or attributes (`st_ctime`). No
program can set that time, whereas `cp -p`, rsync and tar set the time of modification.

People who can write to the inbox are trusted with nothing more: nothing outside it is read.
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
"""The variable with more folders than the inbox in which Airflow's users may name sources."""

GIVEN = "given"
"""The folder of a refusal that holds the entry; reasons.csv lies beside it."""

_TICK = 10_000_000  # ns by which the time of a new file may lag: Linux uses that of its last tick

State = frozenset[tuple[str, int, int, int, int]]
"""Of each file and folder: path, inode, size in bytes, times of modification and change in ns."""


@dataclass(frozen=True)
class Entry:
    """An entry, and its state when it was listed."""

    path: Path
    state: State

    def changed(self) -> bool:
        """Whether it has changed since, or is gone."""
        return _state(self.path) != self.state


def settled(seconds: float) -> list[Entry]:
    """The entries that have not changed for ``seconds``, in the order of their names."""
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
    """The allowed folder in which ``source`` lies: the inbox, or one of the folders in
    ``EIDOLON_SOURCES``. A user of Airflow names the source; its operator sets the variable. Links
    may not lead out of the folder.

    Raises :class:`EidolonError` for any other source, and in the same words when it does not exist:
    the user of Airflow must not learn what else lies on this machine.
    """
    more = filter(None, os.environ.get(SOURCES, "").split(os.pathsep))
    real = Path(os.path.realpath(os.path.expanduser(source)))  # noqa: PTH111 - as `ingest` does
    for folder in (INBOX, *map(Path, more)):
        if real.is_relative_to(os.path.realpath(folder)):
            return folder
    raise EidolonError(
        f"{source} lies neither in {INBOX}/ nor in a folder of {SOURCES}, and a DAG reads nothing"
        f" else: put it there, or run `eidolon ingest {source}`"
    )


def done(entry: Entry) -> bool:
    """Move an ingested entry to the outbox, and return true. An entry that has changed meanwhile
    stays, and false is returned: it may hold more than was ingested."""
    if entry.changed():
        return False
    shutil.move(entry.path, new_folder(INGESTED) / entry.path.name)
    return True


def refuse(entry: Entry, reason: str) -> bool:
    """Move an entry that cannot be read to the quarantine with the reason, and return true. One
    that has changed meanwhile stays, and false is returned: it was not complete."""
    if entry.changed():
        return False
    place = new_folder(QUARANTINE)
    # the reason first, so that nothing lies there without one
    copy = f"{GIVEN}/{entry.path.name}"
    write_reasons(place, [(entry.path, "", "source", reason, "", copy)])
    (place / GIVEN).mkdir()
    shutil.move(entry.path, place / copy)
    return True


def _now() -> int:
    """The time in ns on the inbox's file system, which may have the clock of another machine."""
    with tempfile.TemporaryFile(dir=INBOX) as file:
        return os.fstat(file.fileno()).st_ctime_ns


def _state(entry: Path) -> State | None:
    """The state of ``entry``; ``None`` when a part of it vanished meanwhile."""
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
