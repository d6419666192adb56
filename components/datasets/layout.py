"""Checks that every official layout shares, before any picture is decoded.

A download can be incomplete in many ways; each has one sentence here that names the file and what
to do about it.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.datasets.adapter import wrong_with
from components.errors import EidolonError


@dataclass(frozen=True)
class Layout:
    """What the archives of a dataset unpack to, and how to get there in words."""

    files: tuple[str, ...]
    folder: str
    pattern: str
    """Of the pictures in ``folder``."""
    remedy: str

    def check(self, source: Path) -> None:
        """Raise :class:`EidolonError` unless ``source`` holds all files and the picture folder."""
        wrong = wrong_with(source)
        if wrong is not None:
            raise EidolonError(f"dataset.source {wrong}: {self.remedy}")
        lacking = self._lacking(source)
        if not lacking:
            return
        near = [source.parent, *_folders(source), *_folders(source.parent)]
        right = next((p for p in near if not self._lacking(p)), None)
        if right is not None:
            raise EidolonError(
                f"dataset.source {source} is not the dataset's own folder: set it to {right}"
            )
        raise EidolonError(f"{source} lacks {', '.join(lacking)}: {self.remedy}")

    def check_pictures(self, source: Path, paths: Sequence[Path], listed_in: str) -> None:
        """Raise :class:`EidolonError` unless ``paths`` are all pictures of ``source``, each a file
        with something in it."""
        bad = [p for p in paths if not _has_content(p)]
        if bad:
            raise EidolonError(
                f"{bad[0]} is listed in {listed_in} but missing or empty"
                f" ({len(bad)} such pictures): {self.remedy}"
            )
        more = len(list((source / self.folder).glob(self.pattern))) - len(paths)
        if more:
            raise EidolonError(
                f"{source / self.folder} has {more} pictures more than {listed_in} lists:"
                f" {self.remedy}"
            )

    def _lacking(self, source: Path) -> list[str]:
        lacking = [name for name in self.files if not (source / name).is_file()]
        return lacking if (source / self.folder).is_dir() else [*lacking, f"{self.folder}/"]


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(p for p in path.iterdir() if p.is_dir())
    except OSError:  # a parent that may not be listed gives no hint
        return []


def _has_content(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0
