"""A JSON file that others replace, read again when it has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Watched:
    """The content of ``file``. Asking for it costs one `stat` while the file stays the same."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._value: dict[str, Any] | None = None

    def value(self) -> dict[str, Any] | None:
        """The object in the file; ``None`` where there is no file. A file that is no JSON counts
        as unchanged: whoever replaces it writes it whole, so it is somebody's edit."""
        try:
            found = self._file.stat()
        except OSError:
            self._seen = self._value = None
            return None
        seen = (found.st_mtime_ns, found.st_ino, found.st_size)
        if seen != self._seen:
            try:
                value = json.loads(self._file.read_bytes())
            except (OSError, ValueError):
                return self._value
            self._seen, self._value = seen, value if isinstance(value, dict) else None
        return self._value
