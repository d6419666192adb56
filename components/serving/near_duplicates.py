"""Shows near-duplicates as one hit: which of the ranked pictures are copies of a better one.

Pictures are compared as `ingest` compares them. Only those that rank near each other in an answer
are, and only when their difference hashes are alike, so the cost follows the answer and not the
gallery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from components.errors import EidolonError, TransientError
from components.images.decoding import decode
from components.images.near_duplicates import SIDE, SKETCH, detail, distances, sketch
from components.serving.loading import Bundle

DEEPEST = 2000
"""How many of the best pictures are grouped."""


@dataclass(frozen=True)
class Group:
    """A picture of the gallery, by its row, and how many near-duplicates it stands for."""

    row: int
    count: int


class NearDuplicates:
    """Groups the pictures of a bundle's gallery."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._hashes = np.array(
            [int(h[:16] or "0", 16) for h in bundle.pictures["dhash"]], dtype=np.uint64
        )
        self._most = int(bundle.info["ingest"]["max_hamming"])
        self._limit = float(bundle.info["ingest"]["near_duplicate_distance"])
        self._sketch = lru_cache(4096)(self._read)

    def groups(self, rows: Sequence[int]) -> list[Group]:
        """The groups of ``rows``, which are ranked best first, in the order of their best rows."""
        leaders: list[int] = []
        counts: list[int] = []
        hashes = np.empty(len(rows), dtype=np.uint64)
        for row in rows:
            own = self._hashes[row]
            apart = np.bitwise_count(hashes[: len(leaders)] ^ own)
            alike = np.flatnonzero(apart <= self._most)
            copy = next((i for i in alike if self._copies(leaders[i], row)), None)
            if copy is None:
                hashes[len(leaders)] = own
                leaders.append(row)
                counts.append(1)
            else:
                counts[copy] += 1
        return [Group(row, count) for row, count in zip(leaders, counts, strict=True)]

    def _copies(self, one: int, other: int) -> bool:
        try:
            pair = np.array([self._sketch(one), self._sketch(other)], dtype=SKETCH)
        # one of them was removed from the store of thumbnails, or the store cannot be read now
        except (KeyError, EidolonError, TransientError):
            return False
        second = np.array([1], dtype=np.intp)
        details: npt.NDArray[np.float32] = detail(pair)[1:]
        return bool(distances(pair[0], pair, second, details, self._limit)[0] <= 1)

    def _read(self, row: int) -> np.void:
        path = self._bundle.pictures["path"].iloc[row]
        return sketch(decode(self._bundle.picture(path), path, side=SIDE))
