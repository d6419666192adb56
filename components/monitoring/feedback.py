"""Marks of right and wrong hits, joined with the queries that they belong to, and kept as data.

A picture's id is its place in one version of the gallery. So a kept mark names the picture by the
hash of its pixels (`pixels` in the dataset's manifest), which the picture has in every version.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from components import names, tables
from components.files import file_aside
from components.monitoring.journal import Answered, Marked

MOST = 100_000  # marks that are looked at; the newest ones
COLUMNS = ("query", "pixels", "right", "time")
REMEDY = "`git checkout` brings an earlier one back"


@dataclass(frozen=True)
class Judged:
    """One mark of one picture. ``query`` is the text as models read it. ``rank`` is the picture's
    place among the first hits, from 1, or ``None`` if it was no first hit."""

    query: str
    picture: str
    right: bool
    time: datetime
    bundle: int
    rank: int | None


@dataclass
class Marks:
    """Marks that wait for the queries that they belong to.

    Callers may choose the id of a request, and use one again. So a mark belongs to the last answer
    with its id that a caller got before the mark.
    """

    by_request: dict[str, list[Marked]]
    _joined: dict[tuple[str, int], Judged] = field(default_factory=dict)

    @classmethod
    def of(cls, marks: Iterable[Marked]) -> Marks:
        """The newest :data:`MOST` of ``marks``, which are in the order of time."""
        found: dict[str, list[Marked]] = {}
        for mark in deque(marks, maxlen=MOST):
            found.setdefault(mark.request, []).append(mark)
        return cls(found)

    def beside(self, answers: Iterable[Answered]) -> Iterator[Answered]:
        """Yield ``answers``, which are in the order of time, and join the marks of each on the
        way."""
        for one in answers:
            for number, mark in enumerate(self.by_request.get(one.request, ())):
                if one.time > mark.time:
                    continue
                rank = one.hits.index(mark.id) + 1 if mark.id in one.hits else None
                query = names.query_text(one.query)
                found = Judged(query, mark.id, mark.right, mark.time, mark.bundle, rank)
                self._joined[one.request, number] = found
            yield one

    def last(self) -> list[Judged]:
        """The joined marks; of several of one picture for one query, the last."""
        newest = sorted(self._joined.values(), key=lambda one: one.time)
        return list({(one.query, one.picture): one for one in newest}.values())


def kept(
    marks: Iterable[Judged], pixels: Mapping[int, Mapping[str, str]], path: Path
) -> pd.DataFrame | None:
    """Add ``marks`` to the table ``path``, and return it, or ``None`` if nothing is new.

    ``pixels`` has the hash of each picture's pixels by its path, for each version of the bundle.
    Marks of other pictures, such as imagined ones, are left out. Of several marks of one picture
    for one query the last counts. The table is sorted, so that git shows what is new, and is
    written in one step. Raises :class:`EidolonError` when it is damaged.
    """
    before = read(path)
    rows = {(row[0], row[1]): tuple(row) for row in before.itertuples(index=False)}
    for one in sorted(marks, key=lambda one: one.time):
        content = pixels.get(one.bundle, {}).get(one.picture)
        if content is None:
            continue
        row = (one.query, content, str(int(one.right)), one.time.isoformat(timespec="seconds"))
        if row[3] > rows.get(row[:2], ("", "", "", ""))[3]:
            rows[row[:2]] = row
    after = pd.DataFrame(sorted(rows.values()), columns=list(COLUMNS), dtype=str)
    if after.equals(before):
        return None
    with file_aside(path) as aside:
        tables.write(aside, after)
    return after


def read(path: Path) -> pd.DataFrame:
    """The kept marks, without rows if there are none. Raises :class:`EidolonError` when the table
    is damaged."""
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS), dtype=str)
    return tables.read(path, COLUMNS, REMEDY)[list(COLUMNS)]
