"""Remembers pictures that were imagined for texts, with their vectors, across restarts and bundles.

It is separate from the store of the pipeline's pictures: those are kept for ever, and these only
while there is room. One file of SQLite holds them, which several processes read while one writes,
and which survives a kill.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from components.vectors import Array

log = logging.getLogger("bentoml.eidolon")

T = TypeVar("T")
Row = tuple[Any, ...]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pictures (
    address TEXT NOT NULL, encoders TEXT NOT NULL, png BLOB NOT NULL,
    vision BLOB NOT NULL, clip BLOB NOT NULL, contrast REAL, sharpness REAL, refused TEXT NOT NULL,
    bytes INTEGER NOT NULL, used REAL NOT NULL, PRIMARY KEY (address, encoders));
CREATE INDEX IF NOT EXISTS by_use ON pictures (used, bytes);
CREATE TABLE IF NOT EXISTS total (bytes INTEGER NOT NULL);
INSERT INTO total SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM total);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON pictures
    BEGIN UPDATE total SET bytes = bytes + new.bytes; END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON pictures
    BEGIN UPDATE total SET bytes = bytes - old.bytes; END;
"""
_COLUMNS = "address, vision, clip, contrast, sharpness, refused"
_FRESH = 60.0  # seconds within which a use is not noted again
_OVERHEAD = 500  # bytes of a row beside its pictures and vectors


@dataclass(frozen=True)
class Seen:
    """What the encoders and the quality measures see in a picture that was imagined for a text.

    ``vision`` (d_vision,) and ``clip`` (d_clip,) have length one. ``refused`` says why the
    picture must not be used, whatever the text: the generator withheld it, or a classifier did.
    It is empty for all others.
    """

    address: str
    vision: Array
    clip: Array
    contrast: float
    sharpness: float
    refused: str


@dataclass(frozen=True)
class Drawn(Seen):
    """The same, with the picture itself as PNG."""

    png: bytes


class Memory:
    """Pictures by their address and by the ``encoders`` that made the vectors.

    It holds at most ``limit`` bytes. Those that were not used for the longest time go first. A
    file that is damaged is begun anew, and a disk that takes no more is reported once: then
    texts are drawn again, and nothing else changes.
    """

    def __init__(self, file: Path, encoders: str, limit: int) -> None:
        self._file, self._encoders, self._limit = file, encoders, limit
        self._lock = threading.Lock()
        self._failing = False
        self._connection: sqlite3.Connection | None = None

    def get(self, addresses: Iterable[str]) -> dict[str, Seen]:
        """What was seen in the pictures that are remembered, by address."""
        wanted = list(addresses)
        marks = ", ".join("?" * len(wanted))
        select = (
            f"SELECT {_COLUMNS}, used FROM pictures WHERE encoders = ? AND address IN ({marks})"
        )
        with self._lock:
            rows = self._run(lambda db: db.execute(select, (self._encoders, *wanted)).fetchall())
            self._note_use(rows or [])
        return {row[0]: _seen(row) for row in rows or []}

    def picture(self, address: str) -> bytes | None:
        """The PNG of a remembered picture, or None."""
        select = "SELECT png FROM pictures WHERE address = ? LIMIT 1"
        with self._lock:
            row = self._run(lambda db: db.execute(select, (address,)).fetchone())
        return row[0] if row else None

    def put(self, drawn: Iterable[Drawn]) -> None:
        """Remember pictures, and forget the least recently used ones beyond the limit."""
        now = time.time()
        rows = [
            (
                *(d.address, self._encoders, d.png, d.vision.tobytes(), d.clip.tobytes()),
                *(d.contrast, d.sharpness, d.refused),
                len(d.png) + d.vision.nbytes + d.clip.nbytes + _OVERHEAD,
                now,
            )
            for d in drawn
        ]

        def write(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                marks = ", ".join("?" * 10)
                db.executemany(f"INSERT OR IGNORE INTO pictures VALUES ({marks})", rows)
                self._shrink(db)

        with self._lock:
            self._run(write)

    @property
    def bytes(self) -> int:
        """How many bytes are remembered."""
        with self._lock:
            row = self._run(lambda db: db.execute("SELECT bytes FROM total").fetchone())
        return int(row[0]) if row else 0

    def _shrink(self, db: sqlite3.Connection) -> None:
        (held,) = db.execute("SELECT bytes FROM total").fetchone()
        if held <= self._limit:
            return
        oldest = db.execute("SELECT rowid, bytes FROM pictures ORDER BY used, rowid")
        gone = []
        for row, size in oldest:
            gone.append((row,))
            held -= size
            if held <= 0.9 * self._limit:  # not one at a time: that would be a write for each
                break
        db.executemany("DELETE FROM pictures WHERE rowid = ?", gone)

    def _note_use(self, rows: list[Row]) -> None:
        now = time.time()
        old = [(now, row[0], self._encoders) for row in rows if row[-1] < now - _FRESH]
        if old:
            update = "UPDATE pictures SET used = ? WHERE address = ? AND encoders = ?"

            def write(db: sqlite3.Connection) -> None:
                with db:
                    db.executemany(update, old)

            self._run(write)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What ``work`` gives for the open database, or None when the disk or the file fails."""
        try:
            if self._connection is None:
                self._connection = self._open()
            result = work(self._connection)
        except (sqlite3.Error, OSError) as error:
            if not self._failing:
                log.error("imagined texts are not remembered in %s: %s", self._file, error)
            self._failing = True
            self._close(damaged=isinstance(error, sqlite3.DatabaseError) and _damaged(error))
            return None
        self._failing = False
        return result

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._file, timeout=5, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
        return db

    def _close(self, damaged: bool) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if damaged:
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):
                    self._file.with_name(self._file.name + suffix).unlink()


def _damaged(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _seen(row: Row) -> Seen:
    address, vision, clip, contrast, sharpness, refused, _ = row
    first, second = (np.frombuffer(blob, dtype=np.float32) for blob in (vision, clip))
    return Seen(address, first, second, contrast, sharpness, refused)
