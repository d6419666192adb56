"""Which imagined pictures are alike, kept from one judgement to the next.

`validate` looks for the nearest better picture of each, to find copies. It does so once, and once
more after each round of regeneration. Most of the pictures were there before. So the most similar
others of each content are kept, and only what is new is compared with all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components import kept_arrays
from components.code_versions import code, libraries
from components.features.segments import Keys
from components.features.store import FeatureStore
from components.paths import ALIKE
from components.validation.appearance import Views
from components.validation.measure import DIGITS
from components.vectors import Array

Floats = npt.NDArray[np.floating]
Rows = npt.NDArray[np.intp]

_CONTRAST = 0.21  # the contrast to which all pictures are scaled before they are compared
_NEAREST = 32  # others that are kept of each content
_ROUNDING = 1e-5  # more than float32 takes away from a likeness
_CHUNK, _COLUMNS = 64, 4096  # contents that are compared at once, and with how many


def view_distances(one: Floats, other: Floats) -> Floats:
    """The view distance of each pair of pictures: (N, M), in [0, 0.42].

    It is the root mean square difference in brightness and colour, between the first view of one
    picture and the most similar view of the other; of both directions the smaller. ``one``
    (N, V, d) and ``other`` (M, V, d) are from :func:`components.validation.appearance.views`.
    """
    alike = _likeness(one, other)
    return np.sqrt(np.maximum(2 - 2 * alike, 0)) * alike.dtype.type(_CONTRAST)


def _likeness(one: Floats, other: Floats) -> Floats:
    """The cosine of the most similar views of each pair: (N, M)."""
    size = one.shape[2]
    there = (one[:, 0] @ other.reshape(-1, size).T).reshape(len(one), len(other), -1).max(axis=2)
    back = (one.reshape(-1, size) @ other[:, 0].T).reshape(len(one), -1, len(other)).max(axis=1)
    found: Floats = np.maximum(there, back)
    return found


class Likeness:
    """The most similar others of N contents, each with a key and with views (V, d).

    ``_who`` (N, K) are their places, best first, and -1 where there are fewer. ``_alike`` (N, K) is
    how similar they are. Any content that is not among them is at most as similar as the last one,
    or as ``_reach`` (N,).
    """

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._views: Array = np.zeros((0, 1, 1), dtype=np.float32)
        self._who = np.zeros((0, _NEAREST), dtype=np.int32)
        self._alike = np.zeros((0, _NEAREST), dtype=np.float32)
        self._reach = np.zeros(0, dtype=np.float32)
        self._asked: set[int] = set()
        self.compared = 0

    @classmethod
    def kept(cls, store: FeatureStore, file: Path = ALIKE) -> Likeness:
        """What :meth:`save` kept in ``file``, of contents whose views are in ``store``."""
        found, arrays = cls(), kept_arrays.read(file, _made_by())
        if arrays is None:
            return found
        shelf = store.pictures(Views(), None)
        shape, kind = shelf.row() or ((1, 1), np.float32)
        rows = np.zeros((len(arrays["keys"]), *shape), dtype=kind)
        here = shelf.read(arrays["keys"], rows)
        found._places = {bytes(key): place for place, key in enumerate(arrays["keys"])}
        found._views, found._reach = rows, arrays["reach"]
        found._who, found._alike = arrays["who"], arrays["alike"]
        found._leave(here)
        return found

    def save(self, file: Path = ALIKE) -> None:
        """Keep this in ``file``, without the contents that were not asked for."""
        here = np.zeros(len(self._views), dtype=bool)
        here[list(self._asked)] = True
        self._leave(here)
        keys = np.frombuffer(b"".join(self._places), np.uint8).reshape(-1, 32)
        arrays: kept_arrays.Arrays = {
            "keys": keys,
            "who": self._who,
            "alike": self._alike,
            "reach": self._reach,
        }
        kept_arrays.write(file, arrays, _made_by())

    def nearest_better(
        self, keys: Keys, views: Array, closest: float
    ) -> tuple[npt.NDArray[np.float64], Rows]:
        """The view distance of each picture to the nearest better one, (N,), and that one's index.

        ``keys`` (N, 32) and ``views`` (N, V, d) are those of N pictures, best first. A picture that
        is nearer than ``closest`` to a better one is a copy, and later pictures are not compared
        with it. The distance is NaN for the first picture. Of equally near ones, the best counts.
        """
        places = self._placed(keys, views)
        nearest, of = np.full(len(keys), np.nan), np.zeros(len(keys), dtype=np.intp)
        row_of = np.full(len(self._views), -1)  # the first picture of each content that is no copy
        sources: list[int] = []
        for row, place in enumerate(places):
            if sources:
                rows = np.sort(row_of[self._candidates(place, row_of, sources)])
                pair = views[row : row + 1].astype(np.float64), views[rows].astype(np.float64)
                apart = np.round(view_distances(*pair)[0], DIGITS)
                nearest[row], of[row] = apart.min(), rows[apart.argmin()]
            if not nearest[row] < closest and row_of[place] < 0:
                row_of[place] = row
                sources.append(place)
        return nearest, of

    def _candidates(self, place: int, row_of: Rows, sources: Sequence[int]) -> list[int]:
        """Those of ``sources`` that may be the most similar to the content at ``place``."""
        if row_of[place] >= 0:
            return [place]  # another picture with the same content
        alike, who = self._alike[place], self._who[place]
        there = (who >= 0) & (row_of[who] >= 0)
        best = alike[there].max(initial=-np.inf)
        if best - _ROUNDING < max(alike[-1], self._reach[place]):
            who = np.array(sources)
            alike = _likeness(self._views[place : place + 1], self._views[who])[0]
            there, best = np.ones(len(who), dtype=bool), alike.max()
        found: list[int] = who[there & (alike >= best - _ROUNDING)].tolist()
        return found

    def _placed(self, keys: Keys, views: Array) -> list[int]:
        """The place of each of the contents, of which new ones are compared with all."""
        names, new = [bytes(key) for key in keys], []
        for row, name in enumerate(names):
            if name not in self._places:
                self._places[name] = len(self._places)
                new.append(row)
        if new:
            self._add(views[new])
        found = [self._places[name] for name in names]
        self._asked.update(found)
        return found

    def _add(self, views: Array) -> None:
        begin, new = len(self._views), len(views)
        self._views = np.concatenate([self._views, views]) if begin else views
        self._who = np.concatenate([self._who, np.full((new, _NEAREST), -1, np.int32)])
        nothing = np.full((new, _NEAREST), -np.inf, np.float32)
        self._alike = np.concatenate([self._alike, nothing])
        self._reach = np.concatenate([self._reach, np.full(new, -np.inf, np.float32)])
        for start in range(begin, begin + new, _CHUNK):
            end = min(start + _CHUNK, begin + new)
            for first in range(0, end, _COLUMNS):
                last = min(first + _COLUMNS, end)
                alike = _likeness(self._views[start:end], self._views[first:last])
                own = np.arange(start, end)[:, None] == np.arange(first, last)
                alike[own] = -np.inf
                self._offer(slice(start, end), first, alike)
                before = slice(first, min(last, start))  # the others in the chunk have it already
                self._offer(before, start, alike[:, : before.stop - before.start].T)
        self.compared += new

    def _offer(self, rows: slice, first: int, alike: Floats) -> None:
        """Put the contents from ``first`` on, ``alike`` (n, m), among the most similar ones of n
        ``rows``, where they are."""
        if rows.stop <= rows.start:
            return
        some = np.flatnonzero((alike > self._alike[rows, -1:]).any(axis=1))
        others = np.broadcast_to(np.arange(first, first + alike.shape[1]), alike[some].shape)
        at = some + rows.start
        every = np.concatenate([self._alike[at], alike[some]], axis=1)
        who = np.concatenate([self._who[at], others], axis=1)
        best = np.argpartition(every, -_NEAREST, axis=1)[:, -_NEAREST:]
        self._put(
            at, np.take_along_axis(every, best, axis=1), np.take_along_axis(who, best, axis=1)
        )

    def _leave(self, here: npt.NDArray[np.bool_]) -> None:
        """Leave only the contents that are ``here`` (N,)."""
        place = np.append(np.where(here, np.cumsum(here) - 1, -1), -1)  # the last one is of none
        self._places = {key: int(place[old]) for key, old in self._places.items() if here[old]}
        self._asked = {int(place[old]) for old in self._asked}
        self._views, who, alike = self._views[here], place[self._who[here]], self._alike[here]
        self._reach = np.maximum(self._reach[here], alike[:, -1])
        self._who, self._alike = self._who[here], alike
        self._put(np.arange(len(who)), np.where(who < 0, -np.inf, alike), who)

    def _put(self, at: Rows, alike: Floats, who: npt.NDArray[np.integer]) -> None:
        """Put the contents ``who`` (n, K), which are ``alike`` (n, K), into the rows ``at``, best
        first."""
        best = np.argsort(-alike, axis=1, kind="stable")
        self._alike[at] = np.take_along_axis(alike, best, axis=1)
        there = self._alike[at] > -np.inf
        self._who[at] = np.where(there, np.take_along_axis(who, best, axis=1), -1)


def _made_by() -> str:
    """What the likeness of two contents depends on."""
    return json.dumps([Views().address, code(__name__), libraries("numpy")], sort_keys=True)
