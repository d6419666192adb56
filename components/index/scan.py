"""Reads the codes of a gallery once for several queries, and notes which pictures may be best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.index.codes import ROUNDING, Codes
from components.index.engine import Asked, Rows
from components.index.gallery import Hubness
from components.index.shortlist import Shortlist
from components.vectors import Array

Mask = npt.NDArray[np.bool_]


class Lists(NamedTuple):
    """What may be the best of one query: fused, and by each similarity alone."""

    fused: Shortlist
    text: Shortlist
    image: Shortlist


class Scan:
    """One pass over the codes for Q queries.

    ``order`` (N,) are the rows of the gallery in the order of the codes, or None when it is the
    same. ``passing`` (N,) says which rows of the gallery may be found. The best ``k`` are wanted,
    and the best ``streams`` by each similarity, of whatever passes or not.
    """

    def __init__(
        self,
        codes: tuple[Codes, Codes],
        order: Rows | None,
        asked: Asked,
        k: int,
        passing: Mask | None,
        hubness: Hubness | None,
        streams: int,
    ) -> None:
        self._clip, self._vision = codes
        self._order, self._passing, self._hubness = order, passing, hubness
        self._streams, self._queries = streams, len(asked.text)
        self.lists = [Lists(*map(Shortlist, (k, streams, streams))) for _ in asked.text]
        self._weight, self._strength = asked.weights, np.float32(asked.strength)
        texts = [asked.text] if asked.excluded is None else [asked.text, asked.excluded]
        # a space that cannot matter is not read
        by_text = asked.text.any() and (streams > 0 or bool((self._weight < 1).any()))
        self._texts = self._clip.question(np.concatenate(texts)) if by_text else None
        self._images = self._vision.question(asked.aggregated) if asked.aggregated.any() else None

    def read(self, some: slice) -> None:
        """Score the codes in ``some``; several threads may do so at once."""
        rows = some.start if self._order is None else self._order[some]
        at = some if self._order is None else rows
        fused, off = np.zeros((2, self._queries, some.stop - some.start), dtype=np.float32)
        if self._texts is not None:
            self._add_text(fused, off, some, rows)
        if self._images is not None:
            scores, bound = self._vision.scores(some, self._images)
            self._note(1, rows, scores, bound)
            fused += self._weight * scores
            off += self._weight * bound
        if self._hubness is not None:
            clip, vision = (column[at] for column in self._hubness)
            fused -= (1 - self._weight) * clip + self._weight * vision
            off += ROUNDING * (np.abs(clip) + np.abs(vision))
        passing = None if self._passing is None else self._passing[at]
        for query, lists in enumerate(self.lists):
            lists.fused.add(rows, fused[query], off[query], passing)

    def _add_text(self, fused: Array, off: Array, some: slice, rows: Rows | int) -> None:
        assert self._texts is not None
        scores, bound = self._clip.scores(some, self._texts)
        self._note(0, rows, scores, bound)
        fused += (1 - self._weight) * scores[: self._queries]
        off += (1 - self._weight) * bound[: self._queries]
        if len(scores) > self._queries:
            fused -= self._strength * scores[self._queries :]
            off += self._strength * bound[self._queries :]

    def _note(self, space: int, rows: Rows | int, scores: Array, bound: Array) -> None:
        if self._streams:
            for query, lists in enumerate(self.lists):
                lists[1 + space].add(rows, scores[query], bound[query])
