"""End a process by SIGKILL at a counted moment, so that the moment is the same on every machine."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Changes:
    """Counts what this process changes below ``root``: files opened to be written, renamed or
    removed, folders made or removed. Just before change number ``last`` it kills itself (0: never).
    """

    def __init__(self, root: Path, last: int = 0) -> None:
        self.seen = 0
        self._root, self._last = root.absolute(), last
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            counts = isinstance(path, (str, bytes, os.PathLike)) and bool(flags & _WRITING)
        else:
            counts = event in _CHANGES
        if counts and Path(os.fsdecode(arguments[0])).absolute().is_relative_to(self._root):
            self.seen += 1
            if self.seen == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
