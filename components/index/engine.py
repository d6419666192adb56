"""What every index can do: what it is asked, what it finds, and how it follows a changed gallery.

An engine holds the rows of the gallery in both spaces. Hubness and λ come with each search, so a
new aggregator, another λ or another correction never rebuilds it. Filters apply before the best
are chosen, and equal scores keep the gallery's order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.arrays import create
from components.index.gallery import Hubness, Streams
from components.vectors import Array

Rows = npt.NDArray[np.intp]
Precise = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """Q queries: ``text`` (Q, d_clip), ``aggregated`` (Q, d_vision) and λ, a number or (Q, 1).

    A zero row of ``aggregated`` is a query by text alone. ``excluded`` (Q, d_clip) is what pictures
    must not show: ``strength`` times the similarity to it is subtracted from the fused score.
    """

    text: Array
    aggregated: Array
    fusion_weight: float | Array
    excluded: Array | None = None
    strength: float = 0.0

    @property
    def weights(self) -> Array:
        """λ of each query (Q, 1), 0 where there is no aggregated embedding."""
        imagined = self.aggregated.any(axis=1, keepdims=True)
        return np.where(imagined, self.fusion_weight, 0).astype(np.float32)

    def parts(self, size: int) -> Iterator[Asked]:
        """The queries in groups of ``size``, and the rest."""
        for first in range(0, len(self.text), size):
            yield self.part(slice(first, first + size))

    def part(self, queries: slice) -> Asked:
        """The same for some of the queries."""
        weight = self.fusion_weight
        return Asked(
            self.text[queries],
            self.aggregated[queries],
            weight if isinstance(weight, int | float) else np.asarray(weight)[queries],
            None if self.excluded is None else self.excluded[queries],
            self.strength,
        )


class Found(NamedTuple):
    """The best pictures of one query, best first.

    ``rows`` (k,) are rows of the gallery. ``fused``, ``text``, ``image`` and ``hubness`` (k,) are
    their scores as :class:`components.index.gallery.Scores` has them. ``streams`` is None unless
    it was asked for.
    """

    rows: Rows
    fused: Array
    text: Array
    image: Array
    hubness: Array
    streams: Streams | None


class Engine(ABC):
    """An index of N pictures: ``clip`` (N, d_clip) and ``vision`` (N, d_vision), memory-mapped or
    in memory."""

    def __init__(self, clip: Array, vision: Array) -> None:
        self.clip, self.vision = np.asarray(clip), np.asarray(vision)

    def __len__(self) -> int:
        return len(self.clip)

    @abstractmethod
    def search(
        self,
        asked: Asked,
        k: int,
        among: Rows | None = None,
        hubness: Hubness | None = None,
        streams: int = 0,
    ) -> list[Found]:
        """The best ``k`` pictures of each query, or all when there are fewer.

        ``among`` are the rows that may be found, ascending; None for all. ``streams`` is how many
        of the best by each similarity alone to give, in the whole gallery; 0 for no streams.
        """

    @abstractmethod
    def updated(self, clip: Array, vision: Array, was: Rows) -> Engine:
        """The index of a changed gallery, ``clip`` (M, d_clip) and ``vision`` (M, d_vision).

        ``was`` (M,) says which row each one has in this index, or -1 for a new picture. Only new
        pictures are computed.
        """

    @abstractmethod
    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """What the engine computed from the rows, to be saved; nothing for the exact engine."""

    def described(self) -> dict[str, Any]:
        """What a bundle says of its index: the engine, and its recall where that is below 1."""
        return {"engine": type(self).__name__.lower()}

    def extended(self, clip: Array, vision: Array) -> Engine:
        """This index with more pictures behind the others."""
        was = np.arange(len(self) + len(clip))
        was[len(self) :] = -1
        rows = np.concatenate([self.clip, clip]), np.concatenate([self.vision, vision])
        return self.updated(*rows, was)

    def shrunk(self, gone: Rows) -> Engine:
        """This index without the pictures in the rows ``gone``."""
        was = np.delete(np.arange(len(self)), gone)
        return self.updated(self.clip[was], self.vision[was], was)

    def save(self, file: Path) -> bool:
        """Write :meth:`arrays` to ``file``, and say whether there was anything to write.

        Call this within :func:`components.files.folder_aside`.
        """
        found = self.arrays()
        if found:
            target = create(file, {name: (a.shape, a.dtype) for name, a in found.items()})
            for name, array in found.items():
                target[name][...] = array
        return bool(found)
