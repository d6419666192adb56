"""Hashes of files, each computed again only when the file's size, times or inode changed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from components.cache import Cache
from components.files import sha256
from components.paths import KNOWN

_SETTLED = 100_000_000  # nanoseconds: a file that changed later may change again within one tick


class FileHashes:
    """SHA-256 of files, which ``file`` keeps for the next time.

    With ``own``, of files that only this project writes: then the time at which a link to a file
    came or went (ctime) does not count.
    """

    def __init__(self, file: Path = KNOWN, *, own: bool = False) -> None:
        self._kept, self._own = Cache(file, "own files" if own else "files"), own

    def sha256(self, path: Path) -> str:
        """Hex digest of a file's content. Raises :class:`OSError` if it cannot be read."""
        key, found = _key(path), path.stat()
        state = self._state(found)
        kept = self._kept.get(key)
        if kept is not None and kept.startswith(state):
            return kept[len(state) :].decode()
        began = time.time_ns()
        digest = sha256(path)
        if began - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED:
            self._kept.put(key, state + digest.encode())
        return digest

    def expect(self, paths: Sequence[Path]) -> None:
        """Read at once what is kept of ``paths``: :meth:`sha256` will be asked for them next."""
        self._kept.expect([_key(path) for path in paths])

    def wrote(self, path: Path, written: Path, digest: str) -> None:
        """Keep the ``digest`` of the file ``written``, which will be at ``path``, and which nobody
        else can change yet."""
        self._kept.put(_key(path), self._state(written.stat()) + digest.encode())

    def save(self) -> None:
        """Keep what is new for the next time."""
        self._kept.save()

    def _state(self, found: os.stat_result) -> bytes:
        """What tells of a change of a file."""
        changed = "" if self._own else f"{found.st_ctime_ns} "
        return f"{found.st_size} {found.st_mtime_ns} {changed}{found.st_ino} ".encode()


def _key(path: Path) -> bytes:
    return os.fsencode(path.absolute())
