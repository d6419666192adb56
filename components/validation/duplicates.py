"""Which pictures of a dataset are copies of which, within categories and across them.

Colours at 8x8 pixels find the pairs that are alike, fast. On a plain ground they find too many: a
striped shirt on white is like a plain one. So each pair is then compared in detail, as ingesting
compares near-duplicates (:mod:`components.images.near_duplicates`). For that a picture is read
again, once, and only when it is like another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components import config
from components.images import decoding
from components.images.hashing import colour_distances
from components.images.near_duplicates import SIDE, SKETCH, detail, distances, sketch

KINDS = ("copy", "leak", "label", "near")
"""Of the most similar picture: one of the same category and subset, of the category's other subset,
of another category, and of another category with the same outline."""

_CHUNK = 512  # rows of a table of pairwise differences

Rows = npt.NDArray[np.intp]


def nearest(
    files: Sequence[Path],
    thumbnails: npt.NDArray[np.float32],
    outlines: npt.NDArray[np.uint64],
    category: Rows,
    subset: Rows,
    params: config.Inspect,
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, Rows]]:
    """For each of N pictures and each of :data:`KINDS`: the colour difference at 8x8 pixels to the
    most similar picture, infinite where there is none to compare with, and the index of that one.

    Pictures that are alike at 8x8 pixels and differ in detail count as not similar at all.
    ``files`` are the pictures, ``thumbnails`` (N, 192) and ``outlines`` (N,) are as
    :mod:`components.images.hashing` makes them; ``category`` and ``subset`` (N,) are numbers.
    Raises :class:`EidolonError` when a picture cannot be read again.
    """
    found = {name: np.full(len(thumbnails), np.inf) for name in KINDS}
    of = {name: np.zeros(len(thumbnails), dtype=np.intp) for name in KINDS}
    details = _Details(files, params.near_duplicate_distance)
    near = params.near_copy_factor * params.copy_colour_distance
    for start in range(0, len(thumbnails), _CHUNK):
        part = slice(start, start + _CHUNK)
        block = colour_distances(thumbnails[part], thumbnails)
        itself = np.arange(len(block)), np.arange(start, start + len(block))
        block[itself] = np.inf
        own = category[part, None] == category[None]
        same = subset[part, None] == subset[None]
        outline = np.bitwise_count(outlines[part, None] ^ outlines[None]) <= params.max_outline_bits
        alike = block < params.copy_colour_distance
        alike |= (block < near) & outline & ~own
        for i in np.flatnonzero(alike.any(axis=1)):
            others = np.flatnonzero(alike[i])
            block[i, others[details.differ(start + int(i), others)]] = np.inf
        for name, among in zip(KINDS, (own & same, own & ~same, ~own, ~own & outline), strict=True):
            apart = np.where(among, block, np.inf)
            of[name][part], found[name][part] = apart.argmin(axis=1), apart.min(axis=1)
    return found, of


class _Details:
    """The sketches of ``files``, each made when it is first needed."""

    def __init__(self, files: Sequence[Path], limit: float) -> None:
        self._files, self._limit = files, limit
        self._sketches = np.empty(len(files), dtype=SKETCH)
        self._details = np.zeros(len(files), dtype=np.float32)
        self._made = np.zeros(len(files), dtype=bool)

    def differ(self, one: int, others: Rows) -> npt.NDArray[np.bool_]:
        """Whether each of the pictures ``others`` (M,) is another one than the picture ``one``."""
        for i in (one, *others):
            if not self._made[i]:
                self._sketches[i] = sketch(decoding.decode(self._files[i], side=SIDE))
                self._details[i] = detail(self._sketches[i : i + 1])[0]
                self._made[i] = True
        apart = distances(
            self._sketches[one], self._sketches, others, self._details[others], self._limit
        )
        return apart > 1
