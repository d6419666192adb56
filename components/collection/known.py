"""The pictures that are there already, and whether another picture is one of them, or nearly.

Difference hashes find candidates. The sketches of :mod:`components.images.near_duplicates` tell a
copy from another picture with a similar outline. A picture is read for its sketches once: a file
keeps them by the picture's hash, and may be deleted at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from components.images import decoding
from components.images.hashing import Likeness, Outline, outlines, views, without_bars
from components.images.near_duplicates import (
    FAR,
    SKETCH,
    Sketches,
    detail,
    distances,
    sketch,
    zooms,
)
from components.paths import HOME

SKETCHES = HOME / "sketches.sqlite"

_SHAPE, _SIZE = 0.06, 0.04  # logarithms by which proportions and sides of copies may differ
_ROWS = np.dtype(
    [("hash", "<u8"), ("picture", "<i8"), ("part", "?"), ("sketched", "?"), ("detail", "<f4")]
)


@dataclass(frozen=True)
class _Search:
    """A view of a picture to search with, the hash of it, and whether it is a part of the picture
    only."""

    image: Image.Image
    outline: Outline
    part: bool


class Known:
    """Pictures that are there already.

    A near-duplicate of one differs from it in at most the share ``max_hamming`` / 64 of those bits
    of the difference hash that noise cannot change, and by at most ``near_duplicate_distance``
    (:func:`components.images.near_duplicates.distances`). It may have a plain border or lie between
    the bars of a screen; without those it may be mirrored. ``file`` keeps sketches for the next
    time.
    """

    def __init__(
        self, max_hamming: int, near_duplicate_distance: float, file: Path = SKETCHES
    ) -> None:
        self._max_hamming, self._max_distance, self._file = (
            max_hamming,
            near_duplicate_distance,
            file,
        )
        self._by_pixels: dict[str, Path] = {}
        self._pictures: list[tuple[Path, str]] = []
        self._count = 0
        self._rows = np.zeros(1024, dtype=_ROWS)  # one for each view of each picture
        self._sketches = np.empty(1024, dtype=SKETCH)
        self._new: dict[str, bytes] = {}

    def add(self, what: Likeness, path: Path, image: Image.Image | None = None) -> None:
        """Remember the picture at ``path``; ``image`` spares reading it when it is a candidate."""
        hashes = what.hashes
        first, self._count = self._count, self._count + len(hashes)
        while self._count > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._sketches = np.concatenate([self._sketches, np.empty_like(self._sketches)])
        rows = self._rows[first : self._count]
        rows["hash"], rows["picture"] = hashes, len(self._pictures)
        rows["part"] = np.arange(len(hashes)) > 0
        self._pictures.append((path, what.pixels))
        self._by_pixels.setdefault(what.pixels, path)
        if image is not None:
            self._take(first, self._count, _sketches(image))

    def same(self, what: Likeness) -> Path | None:
        """A picture with the same pixels."""
        return self._by_pixels.get(what.pixels)

    def near(self, image: Image.Image) -> Path | None:
        """A near-duplicate of ``image``. Raises :class:`EidolonError` when a candidate cannot be
        read."""
        for search in _searches(image):
            found = self._copied(search, self._candidates(search.outline))
            if found is not None:
                return self._pictures[found][0]
        return None

    def save(self) -> None:
        """Keep the sketches that were made, for the next time."""
        if self._new:
            with closing(_open(self._file)) as kept, kept:
                kept.executemany("insert or replace into sketches values (?, ?)", self._new.items())
            self._new.clear()

    def _candidates(self, outline: Outline) -> npt.NDArray[np.intp]:
        """The rows whose hash is near."""
        bits, certain = np.uint64(outline.bits), np.uint64(outline.certain)
        most = -(-self._max_hamming * outline.certain.bit_count() // 64)
        apart = np.bitwise_count((self._rows["hash"][: self._count] ^ bits) & certain)
        return np.flatnonzero(apart <= most)

    def _copied(self, search: _Search, rows: npt.NDArray[np.intp]) -> int | None:
        """The first picture among ``rows`` that ``search`` is a copy of."""
        if not len(rows):
            return None
        self._fill(rows)
        rows = rows[_fits(search, self._sketches["size"][rows], self._rows["part"][rows])]
        apart = self._distances(sketch(search.image), rows)
        if not (apart <= 1).any():
            rows = rows[apart <= FAR]
            zoomed = [self._distances(z, rows) for z in (zooms(search.image) if len(rows) else ())]
            apart = np.min(zoomed, axis=0) if zoomed else apart[:0]
        close = rows[apart <= 1]
        return int(self._rows["picture"][close[0]]) if len(close) else None

    def _distances(self, one: np.void, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        details = self._rows["detail"][rows]
        return distances(one, self._sketches, rows, details, self._max_distance)

    def _fill(self, rows: npt.NDArray[np.intp]) -> None:
        """Have the sketches of ``rows``: kept ones, or else of the pictures themselves."""
        missing = np.unique(self._rows["picture"][rows[~self._rows["sketched"][rows]]])
        if not len(missing):
            return
        with closing(_open(self._file)) as kept:
            for i in missing:
                path, pixels = self._pictures[i]
                blob = kept.execute("select views from sketches where pixels = ?", [pixels])
                found = blob.fetchone()
                made = _sketches(decoding.decode(path)) if found is None else _from(found[0])
                first, end = np.searchsorted(self._rows["picture"][: self._count], [i, i + 1])
                self._take(int(first), int(end), made, new=found is None)

    def _take(self, first: int, end: int, made: Sketches, *, new: bool = True) -> None:
        rows = self._rows[first:end]
        if new:
            self._new[self._pictures[rows["picture"][0]][1]] = made.tobytes()
        made = np.resize(made, len(rows))  # a row of an older manifest has one hash for two views
        self._sketches[first:end], rows["detail"], rows["sketched"] = made, detail(made), True


def _sketches(image: Image.Image) -> Sketches:
    """One for each of its views."""
    return np.array([sketch(view) for view in views(image)], dtype=SKETCH)


def _searches(image: Image.Image) -> Iterator[_Search]:
    """The views of ``image`` that may be copies; and its mirror image, but not on a plain ground,
    where arrows to the left and to the right are two pictures."""
    inner = without_bars(image)
    parts = [*views(image), *([] if inner is None else [inner])]
    for i, view in enumerate(parts):
        as_it_is, mirrored = outlines(view)
        yield _Search(view, as_it_is, part=i > 0)
    if len(parts) == 1:
        yield _Search(ImageOps.mirror(image), mirrored, part=False)


def _fits(
    search: _Search, sizes: npt.NDArray[np.uint32], part: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Whether the sides (N, 2) of others are those of copies. Whole pictures are stretched at will.
    A part has kept its proportions; and its size too where it was a part before, since what lies
    on one ground small and large are two pictures."""
    ratio = np.log(sizes / np.array(search.image.size))
    same_shape = np.abs(ratio[:, 0] - ratio[:, 1]) <= _SHAPE
    same_size = np.abs(ratio).max(axis=1) <= _SIZE
    if search.part:
        return np.where(part, same_size, same_shape)
    return ~part | same_shape


def _from(blob: bytes) -> Sketches:
    return np.frombuffer(blob, dtype=SKETCH)


def _open(file: Path) -> sqlite3.Connection:
    """The sketches that are kept; none where the file is damaged, which loses only time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(2):
        kept = sqlite3.connect(file)
        try:
            kept.execute(
                "create table if not exists sketches (pixels text primary key, views blob)"
            )
            return kept
        except sqlite3.DatabaseError:
            kept.close()
            if attempt:
                raise
            with suppress(FileNotFoundError):
                file.unlink()
    raise AssertionError("unreachable")
