"""Opening files that strangers name: regular files alone, through no link.

A check of a path and a later use of it are two moments, between which a folder can be exchanged for
a link. So what is checked here is what was opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from components.errors import EidolonError

UNLINK = "`cp -rL SOURCE COPY` makes files of links, then ingest COPY"

_FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unreadable(Exception):  # noqa: N818 - of a file, not an error of ours
    """A file that was not opened. ``kind`` is `missing`, `link` or `outside`, the text says why:
    it goes on from the file's name."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def locate(source: Path) -> Path:
    """``source`` with ``~`` expanded. Raises :class:`EidolonError` when it is not there."""
    path = Path(os.path.expanduser(source))  # noqa: PTH111 - an unknown user is a name like others
    try:
        path.stat()
    except OSError as error:
        link = f" is a link to {path.readlink()}, which" if path.is_symlink() else ""
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        what = "does not exist" if gone else f"cannot be read ({error.strerror})"
        raise EidolonError(f"{path}{link} {what}: name a folder, an archive or a list") from None
    return path


def open_regular(path: Path, below: Path | None = None) -> IO[bytes]:
    """Open ``path``, a regular file whose last part is no link.

    With ``below``, a real path, ``path`` must lie below it, and none of the folders between them
    may be a link: each is opened from the one above it. Raises :class:`Unreadable`; a device or a
    pipe is never opened.
    """
    start, parts = path.parent, path.parts[-1:]
    if below is not None:
        if not path.is_relative_to(below) or ".." in path.relative_to(below).parts:
            raise Unreadable(
                "outside",
                f"lies outside {below}, and a list that comes from there names files there alone:"
                " put the file there too, or give the list to `eidolon ingest`",
            )
        start, parts = below, path.relative_to(below).parts
    try:
        return _walk(start, parts, path)
    except OSError as error:
        raise Unreadable("missing", f"cannot be read ({error.strerror})") from None


def _walk(start: Path, parts: tuple[str, ...], path: Path) -> IO[bytes]:
    """Go from the folder ``start`` through ``parts``, the last of which is opened."""
    here = os.open(start, _FOLDER)
    try:
        for part in parts[:-1]:
            _check(part, here, path, stat.S_ISDIR)
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        name = parts[-1] if parts else "."
        _check(name, here, path, stat.S_ISREG)  # before: opening a pipe waits, a device may act
        file = os.fdopen(os.open(name, _FILE, dir_fd=here), "rb")
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise Unreadable("missing", "is no file")
    return file


def _check(name: str, folder: int, path: Path, wanted: Callable[[int], bool]) -> None:
    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(name, dir_fd=folder)
        if path.exists():
            raise Unreadable("link", f"is a link to {target}, and links are not followed: {UNLINK}")
        raise Unreadable(
            "link", f"is a link to {target}, which does not exist: remove it, or bring that back"
        )
    if not wanted(mode):
        raise Unreadable("missing", "is no file")
