"""Finds copies among the pictures of a dataset, within categories and across them.

Colours at 8x8 pixels find similar pairs quickly (:mod:`components.validation.pairs`). On a plain
background they find too many: a striped shirt on white is similar to a plain one. So each pair is
then compared in detail, as `ingest` compares near-duplicates
(:mod:`components.images.near_duplicates`). Only a picture that is similar to another one is read
again for this, and only once: its sketch is kept under the hash of its content.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components import config
from components.cache import Cache
from components.images import decoding, hashing
from components.images.looks import made_by
from components.images.near_duplicates import SIDE, SKETCH, detail, distances, sketch
from components.validation import pairs
from components.validation.pairs import Rows, Small

KINDS = ("copy", "leak", "label", "near")
"""Where the most similar picture is sought: in the same category and subset, in the category's
other subset, in other categories, and in other categories among pictures of the same outline."""

_WAITING = 1 << 20  # similar pairs that wait to be compared in detail
_LEVELS = 255 * (3 * hashing.SIDE**2) ** 0.5  # Euclidean distance in levels for a difference of 1

Values = npt.NDArray[np.float64]


class Nearest:
    """The most similar picture of each of N pictures, for each of :data:`KINDS`.

    ``apart`` has the colour differences at 8x8 pixels, (N,) per kind, infinite where there is no
    such picture, and ``of`` the rows of those pictures.
    """

    def __init__(self, count: int) -> None:
        self.apart = {kind: np.full(count, np.inf) for kind in KINDS}
        self.of = {kind: np.zeros(count, dtype=np.intp) for kind in KINDS}

    def offer(self, kind: str, one: Rows, other: Rows, apart: Values) -> None:
        """Take each of ``other`` (M,) that is nearer to ``one`` (M,) than the nearest so far. Among
        equals, the first row counts."""
        order = np.lexsort((other, apart, one))
        one, other, apart = one[order], other[order], apart[order]
        first = np.diff(one, prepend=-1) != 0
        one, other, apart = one[first], other[first], apart[first]
        best, of = self.apart[kind], self.of[kind]
        better = (apart < best[one]) | ((apart == best[one]) & (other < of[one]))
        best[one[better]], of[one[better]] = apart[better], other[better]


class Details:
    """Tells copies from pictures that are only similar, by their sketches.

    A sketch is made of ``files[i]`` when it is first needed, and kept in ``known`` under the
    content's hash, ``digests[i]``. ``limit`` is ``inspect.near_duplicate_distance``.
    """

    def __init__(
        self, files: Sequence[Path], digests: Sequence[str], limit: float, known: Path
    ) -> None:
        self._files, self._digests, self._limit = files, digests, limit
        self._kept = Cache(known, "small sketches", made_by("decoding", "near_duplicates"))
        self._sketches = np.empty(len(files), dtype=SKETCH)
        self._details = np.zeros(len(files), dtype=np.float32)
        self._made = np.zeros(len(files), dtype=bool)

    def copies(self, one: int, others: Rows) -> npt.NDArray[np.bool_]:
        """Whether each of the pictures ``others`` (M,) has the same details as ``one``: (M,).

        Raises :class:`EidolonError` when a picture cannot be read.
        """
        for i in (one, *others[~self._made[others]]):
            if not self._made[i]:
                self._sketches[i] = self._sketch(int(i))
                self._details[i] = detail(self._sketches[i : i + 1])[0]
                self._made[i] = True
        apart = distances(
            self._sketches[one], self._sketches, others, self._details[others], self._limit
        )
        return apart <= 1

    def save(self) -> None:
        """Keep new sketches for the next time."""
        self._kept.save()

    def _sketch(self, i: int) -> np.void:
        kept = self._kept.get(self._digests[i])
        if kept is not None:
            found: np.void = np.frombuffer(kept, dtype=SKETCH)[0]
            return found
        made = sketch(decoding.decode(self._files[i], side=SIDE))
        self._kept.put(self._digests[i], made.tobytes())
        return made


class Search:
    """Finds the nearest of N pictures to each of them.

    ``small`` (N, 192) are their thumbnails in levels of 255, and ``outlines`` (N,) their difference
    hashes. ``category`` and ``subset`` (N,) are integer codes.
    """

    def __init__(
        self,
        small: Small,
        outlines: npt.NDArray[np.uint64],
        category: Rows,
        subset: Rows,
        details: Details,
        params: config.Inspect,
    ) -> None:
        self._small, self._outlines = small, outlines
        self._category, self._subset = category, subset
        self._details, self._bits = details, params.max_outline_bits
        self._close = params.copy_colour_distance
        self._near = params.near_copy_factor * params.copy_colour_distance

    def run(self, *, everywhere: bool = False) -> Nearest:
        """The nearest pictures. Two pictures that are similar at 8x8 pixels but differ in detail
        count as not similar at all.

        Only pictures within the limit of a kind are found, so that most pairs need not be looked
        at. With ``everywhere``, the nearest are found wherever they are, in a time that is
        quadratic in N. Raises :class:`EidolonError` when a picture cannot be read again.
        """
        found = Nearest(len(self._small))
        waiting: list[tuple[Rows, Rows]] = []
        held = 0
        for one, other, apart in self._pairs(everywhere=everywhere):
            similar = self._similar(one, other, apart)
            if everywhere:
                far = ~similar
                self._offer(found, one[far], other[far], apart[far])
                self._offer(found, other[far], one[far], apart[far])
            waiting.append((one[similar], other[similar]))
            held += int(similar.sum())
            if held >= _WAITING:
                self._compare(found, waiting)
                waiting, held = [], 0
        self._compare(found, waiting)
        for kind in KINDS if not everywhere else ():
            limit = self._near if kind == "near" else self._close
            found.apart[kind][found.apart[kind] >= limit] = np.inf
        return found

    def _pairs(self, *, everywhere: bool) -> Iterator[tuple[Rows, Rows, Values]]:
        """Pairs and their colour differences: all pairs, or those that may be similar."""
        by_outline = not everywhere and pairs.prefer_outlines(self._outlines, self._bits)
        reach = self._close if by_outline else self._near
        for one, other, squared in pairs.by_colour(
            self._small, np.inf if everywhere else reach * _LEVELS
        ):
            yield one, other, np.sqrt(squared) / _LEVELS
        if by_outline:
            for one, other in pairs.by_outline(self._outlines, self._bits):
                yield one, other, self._apart(one, other)

    def _apart(self, one: Rows, other: Rows) -> Values:
        apart: Values = np.sqrt(pairs.squared_distances(self._small, one, other)) / _LEVELS
        return apart

    def _similar(self, one: Rows, other: Rows, apart: Values) -> npt.NDArray[np.bool_]:
        """Whether each pair must be compared in detail: (M,)."""
        elsewhere = self._category[one] != self._category[other]
        near = (apart < self._near) & elsewhere & self._same_outline(one, other)
        return (apart < self._close) | near

    def _same_outline(self, one: Rows, other: Rows) -> npt.NDArray[np.bool_]:
        return np.bitwise_count(self._outlines[one] ^ self._outlines[other]) <= self._bits

    def _compare(self, found: Nearest, waiting: Sequence[tuple[Rows, Rows]]) -> None:
        """Compare pairs in detail, in both directions, and offer the copies among them."""
        if not waiting:
            return
        one, other = (np.concatenate(rows) for rows in zip(*waiting, strict=True))
        count = len(self._small)
        one, other = np.divmod(
            np.unique(np.append(one * count + other, other * count + one)), count
        )
        starts = np.flatnonzero(np.diff(one, prepend=-1))
        copies = np.zeros(len(one), dtype=bool)
        for start, end in pairwise([*starts.tolist(), len(one)]):
            copies[start:end] = self._details.copies(int(one[start]), other[start:end])
        one, other = one[copies], other[copies]
        self._offer(found, one, other, self._apart(one, other))

    def _offer(self, found: Nearest, one: Rows, other: Rows, apart: Values) -> None:
        own = self._category[one] == self._category[other]
        same = self._subset[one] == self._subset[other]
        near = ~own & self._same_outline(one, other)
        for kind, among in zip(KINDS, (own & same, own & ~same, ~own, near), strict=True):
            found.offer(kind, one[among], other[among], apart[among])
