"""Hashes of files, each computed again only when the file's size, times or inode changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

from components.cache import Cache
from components.files import sha256
from components.paths import KNOWN

_SETTLED = 100_000_000  # nanoseconds: a file that changed later may change again within one tick


class FileHashes:
    """SHA-256 of files, which ``file`` keeps for the next time."""

    def __init__(self, file: Path = KNOWN) -> None:
        self._kept = Cache(file, "files")

    def sha256(self, path: Path) -> str:
        """Hex digest of a file's content. Raises :class:`OSError` if it cannot be read."""
        key, found = os.fsencode(path.absolute()), path.stat()
        times = found.st_mtime_ns, found.st_ctime_ns
        state = f"{found.st_size} {times[0]} {times[1]} {found.st_ino} ".encode()
        kept = self._kept.get(key)
        if kept is not None and kept.startswith(state):
            return kept[len(state) :].decode()
        began = time.time_ns()
        digest = sha256(path)
        if began - max(times) > _SETTLED:
            self._kept.put(key, state + digest.encode())
        return digest

    def save(self) -> None:
        """Keep what is new for the next time."""
        self._kept.save()
