"""Reports the files of a source that the dataset does not use, so that none is lost silently."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from components.errors import EidolonError
from components.files import file_aside
from components.paths import LEFT_OUT

UNREADABLE = "unreadable"
OTHER = "no picture"
NESTED = "in a sub-folder"
LOOSE = "in no category"
REMOVED = "removed"
_SHOWN = 3


class LeftOut:
    """Collects files that are left out, and writes the CSV file ``table``.

    Unreadable pictures are an error, unless ``skips_unreadable``. Other kinds are only reported.
    """

    def __init__(self, table: Path = LEFT_OUT, *, skips_unreadable: bool = False) -> None:
        self._table, self._skips_unreadable = table, skips_unreadable
        self._rows: list[tuple[str, str, str]] = []

    def add(self, file: Path, kind: str, reason: str) -> None:
        """Leave out ``file``. ``kind`` is one of the constants of this module."""
        self._rows.append((str(file), kind, reason))

    def check(self) -> None:
        """Write the table: file, kind and reason. If it would be empty, remove the last one.

        Raises one :class:`EidolonError` for all unreadable pictures, unless they may be skipped.
        """
        self._table.unlink(missing_ok=True)
        if self._rows:
            with (
                file_aside(self._table) as aside,
                aside.open("w", newline="", errors="backslashreplace") as file,
            ):
                csv.writer(file).writerows([("file", "kind", "reason"), *self._rows])
        reasons = [reason for _, kind, reason in self._rows if kind == UNREADABLE]
        if reasons and not self._skips_unreadable:
            rest = len(reasons) - _SHOWN
            shown = "; ".join(reasons[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
            raise EidolonError(
                f"{len(reasons)} of the pictures cannot be read: {shown}. {self._table} lists"
                " them all: replace or remove them, or set dataset.leave_out_unreadable to true in"
                " params.yaml"
            )

    def sentence(self) -> str:
        """How many files were left out, by kind and suffix. Empty if there are none."""
        parts = []
        for kind in dict.fromkeys(kind for _, kind, _ in self._rows):
            files = [Path(file) for file, one, _ in self._rows if one == kind]
            suffixes = Counter(file.suffix.lower() or "no suffix" for file in files)
            shown = ", ".join(f"{n} {suffix}" for suffix, n in suffixes.most_common(5))
            more = ", …" if len(suffixes) > 5 else ""
            parts.append(f"{len(files)} {kind} ({shown}{more})")
        return f"left out: {'; '.join(parts)}; see {self._table}" if parts else ""
