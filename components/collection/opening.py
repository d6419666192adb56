"""Opens files that strangers name: only regular files, and never through a link.

Between the check of a path and its use, someone could replace a folder with a link. So this module
checks the file that it has opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from components.errors import EidolonError

UNLINK = "run `cp -rL SOURCE COPY`, which replaces links with files, then ingest COPY"
"""The remedy for links."""

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unreadable(Exception):  # noqa: N818 - about a file, not a failure of the program
    """A file was not opened. ``kind`` is `missing`, `link` or `outside`.

    The text gives the reason. It continues a sentence that starts with the file's name.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def locate(source: Path) -> Path:
    """``source`` with ``~`` expanded. Raises :class:`EidolonError` if it does not exist."""
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - Path.expanduser fails for an unknown user
    try:
        path.stat()
    except OSError as error:
        link = f" is a link to {path.readlink()}, which" if path.is_symlink() else ""
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        what = "does not exist" if gone else f"cannot be read ({error.strerror})"
        raise EidolonError(f"{path}{link} {what}: name a folder, an archive or a list") from None
    return path


def open_regular(path: Path, below: Path | None = None) -> IO[bytes]:
    """Open ``path``, which must be a regular file and not a link.

    With ``below``, a resolved path, ``path`` must be below it, and no folder between them may be a
    link. To ensure that, each folder is opened relative to its parent. Devices and pipes are never
    opened. Raises :class:`Unreadable`.
    """
    start, parts = path.parent, path.parts[-1:]
    if below is not None:
        if not path.is_relative_to(below) or ".." in path.relative_to(below).parts:
            raise Unreadable(
                "outside",
                f"lies outside {below}, but lists in that folder may only name files in it:"
                " put the file there too, or run `eidolon ingest` with the list",
            )
        start, parts = below, path.relative_to(below).parts
    try:
        return _walk(start, parts, path)
    except OSError as error:
        raise Unreadable("missing", f"cannot be read ({error.strerror})") from None


def _walk(start: Path, parts: tuple[str, ...], path: Path) -> IO[bytes]:
    """Go from the folder ``start`` through the folders ``parts`` and open the last one, a file."""
    here = os.open(start, _FOLDER)
    try:
        for part in parts[:-1]:
            _check(part, here, path, stat.S_ISDIR)
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        name = parts[-1] if parts else "."
        _check(name, here, path, stat.S_ISREG)  # first: opening a pipe blocks, a device may act
        file = os.fdopen(os.open(name, _FILE, dir_fd=here), "rb")
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unreadable("missing", "is not a file")
    return file


def _check(name: str, folder: int, path: Path, wanted: Callable[[int], bool]) -> None:
    """Raise :class:`Unreadable` unless ``name`` in the open ``folder`` has the ``wanted`` kind."""
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(name, dir_fd=folder)
        if path.exists():
            raise Unreadable("link", f"is a link to {target}, and links are not followed: {UNLINK}")
        raise Unreadable(
            "link",
            f"is a link to {target}, which does not exist: remove it, or restore its target",
        )
    if not wanted(mode):
        raise Unreadable("missing", "is not a file")
