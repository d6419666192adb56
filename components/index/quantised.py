"""The quantised engine: reads 8 bits instead of 32, and gives the exact answer nevertheless.

It scans the :mod:`components.index.codes` of all rows. What they give differs from the true scores
by a known bound. Every row that can be among the best within that bound is scored again from its
exact embedding. So the best are always right; only how many rows are read again varies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.index.codes import Codes
from components.index.engine import Asked, Engine, Found, Rows
from components.index.gallery import Hubness, Streams
from components.index.moments import Moments, in_blocks
from components.index.parallel import each, shares
from components.index.rescoring import best_of, stream_of
from components.index.scan import Lists, Mask, Scan
from components.vectors import Array

_TOGETHER = 32  # queries that are scanned together
_ROWS = 2**13  # that a thread scans at once: their scores stay in the cache


class Quantised(Engine):
    """Codes of both spaces, and the moments of the text space."""

    _order: Rows | None = None

    def __init__(
        self, clip: Array, vision: Array, codes: tuple[Codes, Codes], moments: Moments
    ) -> None:
        super().__init__(clip, vision)
        self.codes, self.moments = codes, moments

    @classmethod
    def of(cls, clip: Array, vision: Array) -> Quantised:
        """The index of the gallery ``clip`` (N, d_clip) and ``vision`` (N, d_vision)."""
        codes = Codes.of(clip), Codes.of(vision)
        return cls(clip, vision, codes, Moments.of(in_blocks(clip), codes[0].centre))

    @classmethod
    def loaded(cls, clip: Array, vision: Array, arrays: Mapping[str, npt.NDArray]) -> Quantised:
        """The index whose :meth:`arrays` were saved."""
        codes = Codes.loaded(arrays, "clip"), Codes.loaded(arrays, "vision")
        return cls(clip, vision, codes, Moments.loaded(arrays))

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """See :meth:`Engine.arrays`."""
        clip, vision = self.codes
        return clip.arrays("clip") | vision.arrays("vision") | vars(self.moments)

    def updated(self, clip: Array, vision: Array, was: Rows) -> Quantised:
        """See :meth:`Engine.updated`."""
        codes = self.codes[0].updated(clip, was), self.codes[1].updated(vision, was)
        return Quantised(clip, vision, codes, self._following(clip, was))

    def _following(self, clip: Array, was: Rows) -> Moments:
        """The moments of the changed gallery, from what was added and what is gone."""
        centre, new = self.codes[0].centre, np.flatnonzero(was < 0)
        gone = np.setdiff1d(np.arange(len(self)), was)
        if len(new) + len(gone) > len(clip) // 2:
            return Moments.of(in_blocks(clip), centre)
        added = Moments.of(in_blocks(clip, new), centre)
        return self.moments.changed(added, Moments.of(in_blocks(self.clip, gone), centre))

    def search(
        self,
        asked: Asked,
        k: int,
        among: Rows | None = None,
        hubness: Hubness | None = None,
        streams: int = 0,
    ) -> list[Found]:
        """See :meth:`Engine.search`."""
        passing = None
        if among is not None:
            passing = np.zeros(len(self), dtype=bool)
            passing[among] = True
        found, spaces = [], (self.clip, self.vision)
        for part in self._batches(asked):
            scan = Scan(self.codes, self._order, part, k, passing, hubness, streams)
            if k or streams:
                each(scan.read, self._read(part, k, passing, streams))
            best = [
                best_of(spaces, one.fused.rows(), part, query, k, hubness)
                for query, one in enumerate(scan.lists)
            ]
            if streams:
                apart = self._streams(part, scan.lists, streams)
                best = [one._replace(streams=its) for one, its in zip(best, apart, strict=True)]
            found += best
        return found

    def _batches(self, asked: Asked) -> Iterator[Asked]:
        """The queries in groups that are scanned together."""
        return asked.parts(_TOGETHER)

    def _read(self, asked: Asked, k: int, passing: Mask | None, streams: int) -> Sequence[slice]:
        """The codes to read for these queries: all."""
        return shares(len(self), _ROWS)

    def _streams(self, asked: Asked, lists: Sequence[Lists], k: int) -> list[Streams]:
        """What the confidence needs of each query."""
        mean, spread = self.moments.of_scores(asked.text, self.codes[0].centre)
        return [
            Streams(
                stream_of(self.clip, one.text.rows(), asked.text[query], k),
                stream_of(self.vision, one.image.rows(), image, k) if image.any() else None,
                float(mean[query]),
                float(spread[query]),
            )
            for query, (one, image) in enumerate(zip(lists, asked.aggregated, strict=True))
        ]
