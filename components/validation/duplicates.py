"""Finds copies among the pictures of a dataset, within categories and across them.

Colours at 8x8 pixels find similar pairs quickly. On a plain background they find too many: a
striped shirt on white is similar to a plain one. So each pair is then compared in detail, as
`ingest` compares near-duplicates (:mod:`components.images.near_duplicates`). Only a picture that is
similar to another one is read again for this, and only once.
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
"""Where the most similar picture is sought: in the same category and subset, in the category's
other subset, in other categories, and in other categories among pictures of the same outline."""

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
    """The most similar picture of each of N pictures, for each of :data:`KINDS`.

    Returns the colour differences at 8x8 pixels, (N,) per kind, and the indices of those pictures.
    A difference is infinite if there is no picture to compare with. Two pictures that are similar
    at 8x8 pixels but differ in detail count as not similar at all.

    ``files`` are the pictures. ``thumbnails`` (N, 192) and ``outlines`` (N,) are those of
    :mod:`components.images.hashing`. ``category`` and ``subset`` (N,) are integer codes. Raises
    :class:`EidolonError` when a picture cannot be read again.
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
    """The sketches of ``files``, each computed when it is first needed."""

    def __init__(self, files: Sequence[Path], limit: float) -> None:
        self._files, self._limit = files, limit
        self._sketches = np.empty(len(files), dtype=SKETCH)
        self._details = np.zeros(len(files), dtype=np.float32)
        self._made = np.zeros(len(files), dtype=bool)

    def differ(self, one: int, others: Rows) -> npt.NDArray[np.bool_]:
        """Whether each of the pictures ``others`` (M,) differs in detail from the picture ``one``:
        (M,)."""
        for i in (one, *others):
            if not self._made[i]:
                self._sketches[i] = sketch(decoding.decode(self._files[i], side=SIDE))
                self._details[i] = detail(self._sketches[i : i + 1])[0]
                self._made[i] = True
        apart = distances(
            self._sketches[one], self._sketches, others, self._details[others], self._limit
        )
        return apart > 1
