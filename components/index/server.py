"""The server engine: a Qdrant server holds the rows, for a gallery past one machine's memory.

A picture is one vector there: its CLIP and its vision feature behind each other. A query is one
vector too, ``[(1-λ)·text - strength·excluded ; λ·aggregated]``. Their product is the fused score
before the correction for hubness. λ and the aggregator are in the query alone, so neither changes
what is stored.

The server adds up in float32 and knows no hubness. So it is asked for more pictures than are
wanted. A picture that it did not return scores at most what the last one did, plus what float32 may
be off, less the least hubness. Once that is below the k-th best, no better picture is missing;
until then the server is asked for more. What it returned is scored exactly, from the rows of the
bundle.

Hubness differs more between pictures than the scores of the best do. So the pictures are marked
with a level of hubness, and each level is asked by itself (:mod:`components.index.levels`). The
marks only save work: the answers are right with any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.index.certain import Part, Ranking, certain
from components.index.engine import Asked, Engine, Found, Rows
from components.index.gallery import Hubness, Stream, Streams
from components.index.levels import Least, Levels, levels_of
from components.index.moments import Moments, in_blocks
from components.index.points import Points
from components.index.qdrant import NoIndexError, Version, is_embedded
from components.index.rescoring import best_of, stream_of
from components.vectors import Array

_TOGETHER = 32  # queries in one request
_NAMED = 2**13  # rows that a filter names to the server; of more, it returns others too


class Server(Engine):
    """A gallery in the ``collection`` of a server, with the ``levels`` (N,) of its pictures."""

    def __init__(
        self,
        clip: Array,
        vision: Array,
        collection: str,
        points: Points,
        levels: Levels,
        moments: Moments,
        centre: Array,
    ) -> None:
        super().__init__(clip, vision)
        self.moments, self._centre = moments, centre
        self.version = Version(collection, points, levels)
        self._least: Least | None = None
        self._whole = False

    @classmethod
    def of(
        cls,
        clip: Array,
        vision: Array,
        collection: str,
        hubness: Hubness | None = None,
        fusion_weight: float = 0.0,
    ) -> Server:
        """The index of the gallery ``clip`` (N, d_clip) and ``vision`` (N, d_vision). Its levels
        are those of ``hubness`` at λ = ``fusion_weight``. Nothing is sent to the server."""
        levels = np.zeros(len(clip), dtype=np.uint8)
        if hubness is not None:
            levels = levels_of(hubness, fusion_weight)
        return cls._new(clip, vision, collection, levels)

    @classmethod
    def _new(cls, clip: Array, vision: Array, collection: str, levels: Levels) -> Server:
        centre = clip.mean(axis=0, dtype=np.float64).astype(np.float32)
        moments = Moments.of(in_blocks(clip), centre)
        return cls(clip, vision, collection, Points.of(clip, vision), levels, moments, centre)

    @classmethod
    def loaded(cls, clip: Array, vision: Array, arrays: Mapping[str, npt.NDArray]) -> Server:
        """The index whose :meth:`arrays` were saved."""
        points, levels = Points(np.asarray(arrays["points"])), np.asarray(arrays["levels"])
        collection = arrays["collection"].tobytes().decode()
        centre = np.asarray(arrays["centre"])
        return cls(clip, vision, collection, points, levels, Moments.loaded(arrays), centre)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """See :meth:`Engine.arrays`."""
        collection = np.frombuffer(self.version.collection.encode(), dtype=np.uint8)
        own: dict[str, npt.NDArray[Any]] = {
            "points": self.version.points.names,
            "levels": self.version.marks,
            "centre": self._centre,
            "collection": collection,
        }
        return own | vars(self.moments)

    def described(self) -> dict[str, Any]:
        """See :meth:`Engine.described`."""
        place = {"collection": self.version.collection, "version": self.version.name}
        return super().described() | place

    def updated(self, clip: Array, vision: Array, was: Rows) -> Server:
        """See :meth:`Engine.updated`. What the server has is found there when it is published."""
        levels = np.where(was < 0, 0, self.version.marks[was]).astype(np.uint8)
        return Server._new(clip, vision, self.version.collection, levels)

    def publish(self) -> int:
        """Upload what the server lacks, and return how many pictures that were.

        Raises :class:`NoIndexError` when the server does not answer.
        """
        return self.version.publish(
            lambda rows: np.concatenate([self.clip[rows], self.vision[rows]], axis=1)
        )

    def search(
        self,
        asked: Asked,
        k: int,
        among: Rows | None = None,
        hubness: Hubness | None = None,
        streams: int = 0,
    ) -> list[Found]:
        """See :meth:`Engine.search`. Raises :class:`NoIndexError` when the server does not answer,
        or does not have this version."""
        self._check()
        found: list[Found] = []
        for part in asked.parts(_TOGETHER):
            found += self._together(part, k, among, hubness, streams)
        return found

    def _check(self) -> None:
        """That the server has all pictures; one within this process is filled first."""
        if self._whole:
            return
        if is_embedded():
            self.publish()
        elif not self.version.is_whole():
            raise NoIndexError(
                f"the index server does not have {self.version.name}: deploy the version again"
            )
        self._whole = True

    def _together(
        self, asked: Asked, k: int, among: Rows | None, hubness: Hubness | None, streams: int
    ) -> list[Found]:
        queries = range(len(asked.text))
        fused = [self._fused(asked, query, k, among, hubness) for query in queries]
        apart = [self._apart(asked, query, streams) for query in queries] if streams else []
        certain(self.version, [*fused, *(one for both in apart for one in both)])
        found = [one.best for one in fused]
        if streams:
            mean, spread = self.moments.of_scores(asked.text, self._centre)
            numbers = zip(mean.tolist(), spread.tolist(), strict=True)
            each = [
                Streams(text.best, image[0].best if image else None, *both)
                for (text, *image), both in zip(apart, numbers, strict=True)
            ]
            found = [one._replace(streams=its) for one, its in zip(found, each, strict=True)]
        return found

    def _fused(
        self, asked: Asked, query: int, k: int, among: Rows | None, hubness: Hubness | None
    ) -> Ranking[Found]:
        """The ranking of one query by its fused score."""
        weight = float(asked.weights[query, 0])
        text = (1 - weight) * asked.text[query].astype(np.float64)
        if asked.excluded is not None:
            text -= float(np.float32(asked.strength)) * asked.excluded[query]
        vector = np.concatenate([text, weight * asked.aggregated[query].astype(np.float64)])
        k = min(k, len(self) if among is None else len(among))
        names = passing = None
        if among is not None and len(among) <= _NAMED:
            names = self.version.points.uuids(among)
        elif among is not None:
            passing = np.zeros(len(self), dtype=bool)
            passing[among] = True

        def rank(rows: Rows) -> tuple[Found, Array]:
            rows = rows if passing is None else rows[passing[rows]]
            spaces = self.clip, self.vision
            best = best_of(spaces, rows, asked, query, k, hubness)
            return best, best.fused

        parts = [Part()]
        if hubness is not None:
            least = self._least_of(hubness).at(weight)
            parts = [Part(level, bound) for level, bound in least.items()]
        share = 1.0 if passing is None else float(passing.mean())
        return Ranking(vector, k, parts, rank, names, share)

    def _least_of(self, hubness: Hubness) -> Least:
        """The bounds for ``hubness``; a service always gives the same one."""
        if self._least is None or self._least.hubness is not hubness:
            self._least = Least(hubness, self.version.marks)
        return self._least

    def _apart(self, asked: Asked, query: int, k: int) -> list[Ranking[Stream]]:
        """The rankings of one query by each similarity alone; by text only where it has no
        aggregated embedding."""
        text, image = asked.text[query], asked.aggregated[query]
        nothing = np.zeros_like(text), np.zeros_like(image)
        vectors = [(self.clip, text, (text, nothing[1]))]
        if image.any():
            vectors.append((self.vision, image, (nothing[0], image)))
        k = min(k, len(self))
        return [
            Ranking(np.concatenate(both), k, [Part()], _by(pictures, one, k))
            for pictures, one, both in vectors
        ]


def _by(
    pictures: Array, query: Array, k: int
) -> Callable[[Rows], tuple[Stream, npt.NDArray[np.floating]]]:
    def rank(rows: Rows) -> tuple[Stream, npt.NDArray[np.floating]]:
        best = stream_of(pictures, rows, query, k)
        return best, best.scores

    return rank
