"""Values by key in a table of SQLite, which may be deleted at any time: they are computed again.

Several processes share a file. Values are written in batches. A file that is damaged is replaced by
an empty one. Whoever keeps what code computes gives that code's version, so that no value of other
code is ever used.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Key = str | bytes

_BATCH = 1 << 22  # bytes that wait before they are written
_AT_ONCE = 500  # keys in one question: SQLite allows 999 even where it is old
_PATIENCE = 60.0  # seconds to wait while another process writes
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Cache:
    """The table ``table`` of ``file``, whose values were made by the code of ``made_by``.

    A table whose values were made by another version is emptied.
    """

    def __init__(self, file: Path, table: str, made_by: str = "") -> None:
        self._file, self._table, self._made_by = file, table, made_by
        self._open: sqlite3.Connection | None = None
        self._new: dict[Key, bytes] = {}
        self._ahead: dict[Key, bytes | None] = {}
        self._waiting = 0

    def expect(self, keys: Sequence[Key]) -> None:
        """Read the values of ``keys`` at once, because :meth:`get` will be asked for them next: to
        ask for each takes seven times as long."""
        self._ahead = dict.fromkeys(keys)
        for first in range(0, len(keys), _AT_ONCE):
            self._ahead |= self._found(keys[first : first + _AT_ONCE])

    def get(self, key: Key) -> bytes | None:
        """The value of ``key``, or ``None``."""
        if key in self._new:
            return self._new[key]
        if key in self._ahead:
            return self._ahead[key]
        ask = f"select value from [{self._table}] where key = ?"
        found = self._mended(lambda kept: kept.execute(ask, [key]).fetchone())
        return None if found is None else bytes(found[0])

    def put(self, key: Key, value: bytes) -> None:
        """Keep ``value``; :meth:`save` writes it, if this does not."""
        self._new[key] = value
        self._ahead.pop(key, None)
        self._waiting += len(key) + len(value)
        if self._waiting >= _BATCH:
            self._write()

    def remove(self, keys: Iterable[Key]) -> None:
        """Forget the values of ``keys``."""
        gone = [[key] for key in keys]
        self._ahead.clear()
        self._write()
        self._mended(
            lambda kept: kept.executemany(f"delete from [{self._table}] where key = ?", gone)
        )

    def save(self) -> None:
        """Write what is new, and close the file until it is needed again."""
        self._write()
        if self._open is not None:
            self._open.close()
            self._open = None

    def _found(self, keys: Sequence[Key]) -> dict[Key, bytes]:
        marks = ", ".join("?" * len(keys))
        ask = f"select key, value from [{self._table}] where key in ({marks})"
        return dict(self._mended(lambda kept: kept.execute(ask, keys).fetchall()))

    def _write(self) -> None:
        if self._new:
            ask = f"insert or replace into [{self._table}] values (?, ?)"
            self._mended(lambda kept: kept.executemany(ask, self._new.items()))
            self._new.clear()
            self._waiting = 0

    def _mended(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """The result of ``use`` on the open file, in one transaction.

        A damaged file is replaced once.
        """
        for attempt in range(2):
            try:
                kept = self._connected()
                with kept:
                    return use(kept)
            except sqlite3.DatabaseError as error:
                if attempt or error.sqlite_errorcode & 0xFF not in _DAMAGED:
                    raise
                if self._open is not None:
                    self._open.close()
                    self._open = None
                with suppress(FileNotFoundError):
                    self._file.unlink()
        raise AssertionError("unreachable")

    def _connected(self) -> sqlite3.Connection:
        if self._open is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(self._file, timeout=_PATIENCE)
            with self._open as kept:
                self._prepare(kept)
        return self._open

    def _prepare(self, kept: sqlite3.Connection) -> None:
        """Make the table. Empty it if other code made its values."""
        kept.execute("begin immediate")  # another process may do the same
        kept.execute("create table if not exists tables (name text primary key, made_by text)")
        ask = "select made_by from tables where name = ?"
        if kept.execute(ask, [self._table]).fetchone() == (self._made_by,):
            return
        kept.execute(f"drop table if exists [{self._table}]")
        kept.execute(f"create table [{self._table}] (key primary key, value blob)")
        made_by = [self._table, self._made_by]
        kept.execute("insert or replace into tables values (?, ?)", made_by)
