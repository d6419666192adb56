"""Names each row of a gallery by its content, so that a server keeps what it has already.

A point is named by the hash of both its embeddings. The same picture, encoded in the same way, has
the same name in every version. Copies are numbered: equal rows are points of their own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from uuid import UUID

import numpy as np
import numpy.typing as npt

from components.index.engine import Rows
from components.vectors import Array

Names = npt.NDArray[np.uint8]


class Points:
    """The names of N rows: ``names`` (N, 16), each the bytes of a UUID."""

    def __init__(self, names: Names) -> None:
        self.names = np.ascontiguousarray(names)

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, clip: Array, vision: Array) -> Points:
        """The names of the rows of ``clip`` (N, d_clip) and ``vision`` (N, d_vision)."""
        seen: Counter[bytes] = Counter()
        names = np.empty((len(clip), 16), dtype=np.uint8)
        for row, (first, second) in enumerate(zip(clip, vision, strict=True)):
            content = hashlib.sha256(first.tobytes() + second.tobytes())
            copy = seen[content.digest()]
            seen[content.digest()] += 1
            content.update(copy.to_bytes(8, "big"))
            names[row] = np.frombuffer(content.digest()[:16], dtype=np.uint8)
        return cls(names)

    def version(self, marks: npt.NDArray[np.uint8]) -> str:
        """A name for all these rows together with ``marks`` (N,), whatever their order."""
        together = self.names[self._order].tobytes() + marks[self._order].tobytes()
        return "v" + hashlib.sha256(together).hexdigest()[:16]

    def uuids(self, rows: Rows) -> list[str]:
        """The names of some rows as texts."""
        return [str(UUID(bytes=self.names[row].tobytes())) for row in rows]

    def rows(self, uuids: Sequence[str]) -> Rows:
        """The rows that have these names."""
        wanted = np.array([UUID(one).bytes for one in uuids], dtype="S16")
        found: Rows = self._order[np.searchsorted(self._sorted, wanted)]
        return found

    @cached_property
    def _keys(self) -> npt.NDArray[np.bytes_]:
        return self.names.view("S16")[:, 0]

    @cached_property
    def _order(self) -> Rows:
        return np.argsort(self._keys)

    @cached_property
    def _sorted(self) -> npt.NDArray[np.bytes_]:
        return self._keys[self._order]
