"""Asks a server for pictures until none of the best can be missing.

The server returns the pictures with the highest products of two vectors. The score that ranks is
such a product less the picture's hubness, and the server adds up in float32. What it did not return
has at most the last product that it returned. So a ranking is certain once that, plus what float32
may be off, less the least hubness, is below the k-th best score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from components.index.engine import Rows
from components.index.qdrant import Question, Version
from components.vectors import Array

_MORE = 4  # times as many pictures are asked for when too few were
_BESIDE = 16  # pictures beside the wanted ones that are asked for at first
_LENGTH = 1.5  # of a picture's vector, at most: two parts of length one
_EPS = 2.0**-23  # the distance from 1 to the next float32

Best = TypeVar("Best")


@dataclass
class Part:
    """Pictures that are asked for together: those marked with ``mark``, or all. Their hubness is
    ``least`` or more. Those not in ``rows`` have a product of ``highest`` or less."""

    mark: int | None = None
    least: float = 0.0
    limit: int = 0
    rows: Rows = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    highest: float = np.inf


class Ranking(Generic[Best]):
    """The best ``k`` by the product with ``vector`` (d,), less the hubness.

    ``parts`` hold all pictures that may be found. ``rank`` gives the best of some rows, ascending,
    with their scores, best first. ``names`` are the points that may be found, and None for all;
    ``share`` is the share of the pictures that ``rank`` lets pass.
    """

    best: Best

    def __init__(
        self,
        vector: Array,
        k: int,
        parts: Sequence[Part],
        rank: Callable[[Rows], tuple[Best, Array]],
        names: Sequence[str] | None = None,
        share: float = 1.0,
    ) -> None:
        self.vector, self.names = vector.astype(np.float32), names
        self._k, self._parts, self._rank = k, parts, rank
        # n·u of a sum of n products (tests/rounding.py), of which the vector's own rounding is one
        length = float(np.linalg.norm(self.vector.astype(np.float64)))
        self._off = (len(vector) + 8) * _EPS * (_LENGTH * length + 1 / len(vector))
        for part in parts:
            part.limit = int((k + _BESIDE) / share) + 1
        self.open = list(parts)
        if k < 1:
            self.settle()

    def settle(self) -> None:
        """Rank what was returned, and see which parts may hold a better picture."""
        rows = np.sort(np.concatenate([part.rows for part in self._parts]))
        self.best, scores = self._rank(rows)
        least = np.inf if self._k < 1 else scores[-1] if len(scores) >= self._k else -np.inf
        self.open = [p for p in self._parts if p.highest - p.least + self._off >= least]


def certain(version: Version, rankings: Sequence[Ranking]) -> None:
    """Ask until every one of ``rankings`` is certain. Raises :class:`NoIndexError`."""
    while asked := [(ranking, part) for ranking in rankings for part in ranking.open]:
        answers = version.ask(
            [Question(one.vector, part.limit, part.mark, one.names) for one, part in asked]
        )
        for (_, part), answer in zip(asked, answers, strict=True):
            part.rows = version.points.rows(answer.names)
            part.highest = answer.scores[-1] if len(answer.scores) == part.limit else -np.inf
            part.limit = min(_MORE * part.limit, len(version.points) + 1)
        for ranking in rankings:
            if ranking.open:
                ranking.settle()
