"""Keeps the rows that may be among the best k, from scores that are only known within bounds."""

from __future__ import annotations

from threading import Lock

import numpy as np
import numpy.typing as npt

from components.vectors import Array

Rows = npt.NDArray[np.intp]


class Shortlist:
    """The rows whose highest possible score reaches the k-th best of the lowest possible scores.

    No other row can be among the best ``k``. Parts of the gallery come in any order, from several
    threads, and the result is the same.
    """

    def __init__(self, k: int) -> None:
        self._k, self._least, self._lock = k, -np.inf, Lock()
        self._best: Array = np.empty(0, dtype=np.float32)
        self._rows: list[Rows] = []
        self._highest: list[Array] = []

    def add(
        self,
        rows: Rows | int,
        scores: Array,
        off: Array,
        passing: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Take in n rows, whose scores are within ``off`` (n,) of ``scores`` (n,).

        ``rows`` are their numbers, or the first of consecutive ones. Only those ``passing`` (n,)
        count.
        """
        if self._k < 1:
            return
        highest = scores + off
        wanted = highest >= self._least
        if passing is not None:
            wanted &= passing
        near = np.flatnonzero(wanted)
        if not near.size:
            return
        lowest = scores[near] - off[near]
        with self._lock:
            best = np.concatenate([self._best, lowest])
            if best.size >= self._k:
                best = np.partition(best, best.size - self._k)[best.size - self._k :]
                self._least = best[0]
            self._best = best
            kept = highest[near] >= self._least
            near = near[kept]
            self._rows.append(near + rows if isinstance(rows, int) else rows[near])
            self._highest.append(highest[near])

    def rows(self) -> Rows:
        """The rows, ascending."""
        if not self._rows:
            return np.empty(0, dtype=np.intp)
        rows, highest = np.concatenate(self._rows), np.concatenate(self._highest)
        return np.sort(rows[highest >= self._least])
