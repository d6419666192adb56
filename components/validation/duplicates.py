"""Finds copies among the pictures of a dataset, within categories and across them.

Colours at 8x8 pixels find similar pairs quickly (:mod:`components.validation.pairs`). On a plain
background they find too many: a striped shirt on white is similar to a plain one. So each pair is
then compared in detail, as `ingest` compares near-duplicates
(:mod:`components.images.near_duplicates`). Only a picture that is similar to another one is read
again for this, and only once: its sketch is kept under the hash of its content. Which pictures are
copies is kept too (:mod:`components.validation.compared`), so that only new ones are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import config
from components.code_versions import code
from components.images import decoding, hashing, looks
from components.images.near_duplicates import SIDE, SKETCH, detail, distances, sketch
from components.validation import pairs
from components.validation.compared import Compared
from components.validation.pairs import Mask, Outlines, Rows, Small

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
        self._kept = looks.small_sketches(known)
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


def made_by(params: config.Inspect) -> str:
    """What decides which pictures are copies: the code and the limits."""
    names = (f"{__package__}.{module}" for module in ("compared", "duplicates", "pairs"))
    limits = params.model_dump_json(
        include={
            "copy_colour_distance",
            "near_copy_factor",
            "near_duplicate_distance",
            "max_outline_bits",
        }
    )
    return f"{looks.made_by('decoding', 'hashing', 'near_duplicates')}, {code(*names)}, {limits}"


class Search:
    """Finds the nearest of N pictures to each of them.

    ``small`` (N, 192) are their thumbnails in levels of 255, and ``outlines`` (N,) their difference
    hashes. ``category`` and ``subset`` (N,) are integer codes. ``keys`` (N,) name the content and
    category of each. Pictures of one key are compared with others once, as :attr:`unique`.
    """

    def __init__(
        self,
        small: Small,
        outlines: Outlines,
        category: Rows,
        subset: Rows,
        keys: Sequence[str],
        details: Details,
        params: config.Inspect,
    ) -> None:
        self._small, self._outlines = small, outlines
        self._category, self._subset = category, subset
        self._details, self._bits = details, params.max_outline_bits
        self._close = params.copy_colour_distance
        self._near = params.near_copy_factor * params.copy_colour_distance
        self._key, found = pd.factorize(np.array(keys, dtype=object))
        self.unique: list[str] = found.tolist()

    def run(self, before: Compared) -> tuple[Nearest, Compared]:
        """The nearest pictures, and which are copies, for the next time.

        Two pictures that are similar at 8x8 pixels but differ in detail count as not similar at
        all. Only pictures within the limit of a kind are found, so that most pairs need not be
        looked at. Among the keys that are not new to ``before``, it has the copies. Raises
        :class:`EidolonError` when a picture cannot be read again.
        """
        first, before = np.unique(self._key, return_index=True)[1], before.among(self.unique)
        found, now = Nearest(len(self._small)), self._compared(before, first)
        self._offer_all(found, now.one, now.other)
        twice = first[np.bincount(self._key) > 1] if self._close > 0 else first[:0]
        for one, _ in self._copies([(twice, twice)]):
            self._offer_all(found, self._key[one], self._key[one])
        for kind in KINDS:
            limit = self._near if kind == "near" else self._close
            found.apart[kind][found.apart[kind] >= limit] = np.inf
        return found, now

    def everywhere(self) -> Nearest:
        """The nearest pictures, wherever they are, in a time that is quadratic in N. Raises as
        :meth:`run`."""
        found = Nearest(len(self._small))

        def similar() -> Iterator[tuple[Rows, Rows]]:
            for one, other, squared in pairs.by_colour(self._small, np.inf):
                apart = np.sqrt(squared) / _LEVELS
                alike = self._similar(one, other, apart)
                self._offer(found, one[~alike], other[~alike], apart[~alike])
                self._offer(found, other[~alike], one[~alike], apart[~alike])
                yield one[alike], other[alike]

        for one, other in self._copies(similar()):
            self._offer(found, one, other, self._apart(one, other))
        return found

    def _compared(self, before: Compared, first: Rows) -> Compared:
        """``before`` after its new keys were compared with all: each by its ``first`` picture."""
        count = len(first)
        codes = [before.one * count + before.other]
        for one, other in self._copies(self._similar_to_new(first, before.new)):
            codes.append(self._key[one] * count + self._key[other])
        one, other = np.divmod(np.unique(np.concatenate(codes)), max(count, 1))
        return Compared(self.unique, np.zeros(count, dtype=bool), one, other)

    def _similar_to_new(self, first: Rows, new: Mask) -> Iterator[tuple[Rows, Rows]]:
        """Yield the pairs of ``first`` (K,) that may be copies, of which at least one is ``new``
        (K,)."""
        small, outlines = self._small[first], self._outlines[first]
        by_outline = pairs.prefer_outlines(outlines, self._bits, new)
        reach = self._close if by_outline else self._near
        for one, other, squared in pairs.by_colour(small, reach * _LEVELS, new):
            one, other = first[one], first[other]
            similar = self._similar(one, other, np.sqrt(squared) / _LEVELS)
            yield one[similar], other[similar]
        if by_outline:
            for one, other in pairs.by_outline(outlines, self._bits, new):
                one, other = first[one], first[other]
                similar = self._similar(one, other, self._apart(one, other))
                yield one[similar], other[similar]

    def _apart(self, one: Rows, other: Rows) -> Values:
        apart: Values = np.sqrt(pairs.squared_distances(self._small, one, other)) / _LEVELS
        return apart

    def _similar(self, one: Rows, other: Rows, apart: Values) -> Mask:
        """Whether each pair must be compared in detail: (M,)."""
        elsewhere = self._category[one] != self._category[other]
        near = (apart < self._near) & elsewhere & self._same_outline(one, other)
        return (apart < self._close) | near

    def _same_outline(self, one: Rows, other: Rows) -> Mask:
        return np.bitwise_count(self._outlines[one] ^ self._outlines[other]) <= self._bits

    def _copies(self, similar: Iterable[tuple[Rows, Rows]]) -> Iterator[tuple[Rows, Rows]]:
        """Compare pairs in detail, in both directions, and yield the copies among them."""
        waiting: list[tuple[Rows, Rows]] = []
        held = 0
        for one, other in similar:
            waiting.append((one, other))
            held += len(one)
            if held >= _WAITING:
                yield self._in_detail(waiting)
                waiting, held = [], 0
        if held:
            yield self._in_detail(waiting)

    def _in_detail(self, waiting: Sequence[tuple[Rows, Rows]]) -> tuple[Rows, Rows]:
        one, other = (np.concatenate(rows) for rows in zip(*waiting, strict=True))
        count = len(self._small)
        one, other = np.divmod(
            np.unique(np.append(one * count + other, other * count + one)), count
        )
        starts = np.flatnonzero(np.diff(one, prepend=-1))
        copies = np.zeros(len(one), dtype=bool)
        for start, end in pairwise([*starts.tolist(), len(one)]):
            copies[start:end] = self._details.copies(int(one[start]), other[start:end])
        return one[copies], other[copies]

    def _offer_all(self, found: Nearest, ones: Rows, others: Rows) -> None:
        """Offer the pictures of the keys ``others`` (M,) to those of ``ones`` (M,).

        Of the pictures with one key and subset, only the first two can be nearest to one: the
        second, if the first is that one itself.
        """
        rows = np.argsort(self._key, kind="stable")
        groups = pd.DataFrame({"key": self._key, "subset": self._subset}).groupby(["key", "subset"])
        early = rows[(groups.cumcount() < 2).to_numpy()[rows]]
        keys = np.arange(len(self.unique) + 1)
        starts, starts_early = (np.searchsorted(self._key[some], keys) for some in (rows, early))
        for pair, at in pairs.expanded(starts[ones], np.diff(starts)[ones]):
            to = others[pair]
            for which, place in pairs.expanded(starts_early[to], np.diff(starts_early)[to]):
                one, other = rows[at[which]], early[place]
                one, other = one[one != other], other[one != other]
                self._offer(found, one, other, self._apart(one, other))

    def _offer(self, found: Nearest, one: Rows, other: Rows, apart: Values) -> None:
        own = self._category[one] == self._category[other]
        same = self._subset[one] == self._subset[other]
        near = ~own & self._same_outline(one, other)
        for kind, among in zip(KINDS, (own & same, own & ~same, ~own, near), strict=True):
            found.offer(kind, one[among], other[among], apart[among])
