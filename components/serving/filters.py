"""Which pictures of a gallery pass a filter by the values of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import names
from components.errors import QueryError

Rows = npt.NDArray[np.intp]
Filter = Mapping[str, str | Sequence[str]]
_HIDDEN = ("path", "dhash")


class Filters:
    """The ``columns`` of a bundle's table of ``pictures``, and what passes by them. ``known`` has
    the row of each of the ``categories`` by its folded name."""

    def __init__(
        self, pictures: pd.DataFrame, categories: pd.Series, known: Mapping[str, int]
    ) -> None:
        self.columns = [str(column) for column in pictures if column not in _HIDDEN]
        self._size = len(pictures)
        self._codes = {column: pd.factorize(pictures[column]) for column in self.columns}
        self._categories, self._known = categories, known

    def rows(self, wanted: Filter, but: int | None) -> Rows | None:
        """The rows that pass, without the row ``but``; ``None`` when all do.

        Raises :class:`QueryError` for an unknown column, and for a value that no picture has.
        """
        if not wanted and but is None:
            return None
        passing = np.ones(self._size, dtype=bool)
        if but is not None:
            passing[but] = False
        for column, given in wanted.items():
            if column not in self.columns:
                raise QueryError(
                    f"filter: there is no column {column[:100]!r}, only {', '.join(self.columns)}"
                )
            values = {given} if isinstance(given, str) else set(given)
            passing &= np.isin(self._codes[column][0], self._numbered(column, values))
        return np.flatnonzero(passing)

    def _numbered(self, column: str, values: set[str]) -> list[int]:
        """The codes of ``values`` in a column. A category may be written as a query may."""
        found = []
        for value in values:
            row = self._known.get(names.fold(value)) if column == "category" else None
            name = value if row is None else self._categories[row]
            (code,) = self._codes[column][1].get_indexer(pd.Index([name]))
            if code < 0:
                raise QueryError(f"filter: no picture has the {column} {value[:100]!r}")
            found.append(int(code))
        return found
