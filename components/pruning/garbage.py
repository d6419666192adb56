"""What may go, of one kind: how much it is, and how to remove it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


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


def below(folder: Path) -> list[Path]:
    """All files below ``folder``, or none if it does not exist."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
