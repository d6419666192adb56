"""What may go, of one kind: how much it is, and how to remove it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components import tables
from components.errors import EidolonError


@dataclass(frozen=True)
class Garbage:
    """Things of one ``kind`` that nothing needs.

    ``count`` is their number, ``bytes`` what they take on disk. ``remove`` removes them; it may be
    killed, and a second prune then finds the rest.
    """

    kind: str
    count: int
    bytes: int
    remove: Callable[[], None]


def size(files: Iterable[Path]) -> int:
    """Bytes that ``files`` take. A file with several names (hard links) counts by its share, so
    that the sizes of all its names add up to it."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            found = file.lstat()
            total += found.st_size // found.st_nlink
    return total


def hashes_in(text: str, name: str) -> set[str]:
    """The SHA-256s of the pictures in the manifest ``text``, which errors call ``name``; none where
    an older release made it."""
    with suppress(EidolonError):
        return set(tables.parse(text, ("sha256",), name, "run `make run`")["sha256"])
    return set()


def hashes_of(files: Iterable[Path]) -> set[str]:
    """Those in all of the manifests ``files`` that exist."""
    return set().union(*(hashes_in(f.read_text(), str(f)) for f in files if f.is_file()))


def below(folder: Path) -> list[Path]:
    """All files below ``folder``, or none if it does not exist."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
