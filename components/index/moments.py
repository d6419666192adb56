"""Mean and standard deviation of a query's scores over the whole gallery, without the scores.

The mean of ``<x, q>`` is ``<mean of x, q>``, and its variance ``qᵀ·Cov(x)·q``. The sums that they
come from follow the gallery: pictures are added and taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.index.blocks import blocks
from components.vectors import Array

_BLOCK = 2**14  # rows whose products are added up in float32

Precise = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Of N rows, each without the ``centre`` (d,): their ``sums`` (d,) and those of all products of
    two numbers, ``products`` (d, d). ``count`` (1,) is N."""

    count: Precise
    sums: Precise
    products: Precise

    @classmethod
    def of(cls, blocks: Iterable[Array], centre: Array) -> Moments:
        """The moments of all rows in ``blocks``, each (n, d)."""
        d = len(centre)
        count, sums, products = np.zeros(1), np.zeros(d), np.zeros((d, d))
        for rows in blocks:
            away = rows - centre
            count += len(rows)
            sums += away.sum(axis=0, dtype=np.float64)
            products += away.T @ away
        return cls(count, sums, products)

    @classmethod
    def loaded(cls, arrays: Mapping[str, npt.NDArray]) -> Moments:
        """Those among the ``arrays`` that were saved with :func:`vars`."""
        return cls(*(np.asarray(arrays[name]) for name in cls.__annotations__))

    def changed(self, added: Moments, removed: Moments) -> Moments:
        """The moments with some rows more and some less."""
        return Moments(
            *(
                mine + more - less
                for mine, more, less in zip(
                    vars(self).values(), vars(added).values(), vars(removed).values(), strict=True
                )
            )
        )

    def of_scores(self, queries: Array, centre: Array) -> tuple[Precise, Precise]:
        """Mean and standard deviation of the scores of ``queries`` (Q, d), each (Q,)."""
        exact, count = queries.astype(np.float64), max(1.0, float(self.count[0]))
        mean = exact @ self.sums / count
        # not by BLAS, whose threads wait for each other longer than such a small product takes
        squares = np.einsum("qd,de->qe", exact, self.products)
        variance = np.einsum("qd,qd->q", squares, exact) / count - mean**2
        return mean + exact @ centre.astype(np.float64), np.sqrt(np.maximum(variance, 0))


def in_blocks(rows: Array, which: npt.NDArray[np.intp] | None = None) -> Iterable[Array]:
    """``rows`` (N, d) in blocks, or only those that ``which`` names."""
    for some in blocks(len(rows) if which is None else len(which), 1, _BLOCK):
        yield rows[some] if which is None else rows[which[some]]
