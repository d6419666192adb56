"""Checks of a benchmark's official layout, before any picture is decoded.

A download can be incomplete in many ways. For each of them, an error names the file and the remedy.
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
    """The files and the picture folder that a dataset's archives unpack to.

    ``pattern`` matches the pictures in ``folder``. ``remedy`` says how to get this layout.
    """

    files: tuple[str, ...]
    folder: str
    pattern: str
    remedy: str

    def check(self, source: Path) -> None:
        """Raise :class:`EidolonError` unless ``source`` has all files and the picture folder."""
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
        """Raise :class:`EidolonError` unless ``paths`` are exactly the pictures in ``source``.

        Each must be a file that is not empty. ``listed_in`` names the list that has ``paths``.
        """
        bad = [p for p in paths if not _has_content(p)]
        if bad:
            raise EidolonError(
                f"{bad[0]} is listed in {listed_in} but missing or empty"
                f" ({len(bad)} such pictures): {self.remedy}"
            )
        more = len(list((source / self.folder).glob(self.pattern))) - len(paths)
        if more:
            raise EidolonError(
                f"{source / self.folder} has {more} more pictures than {listed_in} lists:"
                f" {self.remedy}"
            )

    def _lacking(self, source: Path) -> list[str]:
        lacking = [name for name in self.files if not (source / name).is_file()]
        return lacking if (source / self.folder).is_dir() else [*lacking, f"{self.folder}/"]


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(p for p in path.iterdir() if p.is_dir())
    except OSError:  # a folder that cannot be listed gives no hint
        return []


def _has_content(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0
