"""What a source has and the dataset does not take: counted, listed and said, never silent."""

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
_SHOWN = 3


class LeftOut:
    """A row for each file: its path, one of the kinds above, and the reason; a CSV file in the end.

    Unreadable pictures stop the stage, all of them in one error, unless it ``goes_on`` without
    them; the rest is only told.
    """

    def __init__(self, table: Path = LEFT_OUT, *, goes_on: bool = False) -> None:
        self._table, self._goes_on = table, goes_on
        self._rows: list[tuple[str, str, str]] = []

    def add(self, file: Path, kind: str, reason: str) -> None:
        """``file`` is left out."""
        self._rows.append((str(file), kind, reason))

    def check(self) -> None:
        """Write the table, or remove that of last time where there is nothing to list.

        Raises :class:`EidolonError` for unreadable pictures where they are not to be left out.
        """
        self._table.unlink(missing_ok=True)
        if self._rows:
            with (
                file_aside(self._table) as aside,
                aside.open("w", newline="", errors="backslashreplace") as file,
            ):
                csv.writer(file).writerows([("file", "kind", "reason"), *self._rows])
        reasons = [reason for _, kind, reason in self._rows if kind == UNREADABLE]
        if reasons and not self._goes_on:
            left = len(reasons) - _SHOWN
            shown = "; ".join(reasons[:_SHOWN]) + (f"; and {left} more" if left > 0 else "")
            raise EidolonError(
                f"{len(reasons)} of the pictures cannot be read: {shown}. {self._table} lists"
                " them all: mend or remove them, or set dataset.leave_out_unreadable to true in"
                " params.yaml to go on without them"
            )

    def sentence(self) -> str:
        """What was left out, by kind and by suffix; empty where there is nothing to tell."""
        parts = []
        for kind in dict.fromkeys(kind for _, kind, _ in self._rows):
            files = [Path(file) for file, one, _ in self._rows if one == kind]
            suffixes = Counter(file.suffix.lower() or "no suffix" for file in files)
            shown = ", ".join(f"{n} {suffix}" for suffix, n in suffixes.most_common(5))
            more = ", …" if len(suffixes) > 5 else ""
            parts.append(f"{len(files)} {kind} ({shown}{more})")
        return f"left out: {'; '.join(parts)}; see {self._table}" if parts else ""
