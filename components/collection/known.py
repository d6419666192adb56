"""Finds duplicates and near-duplicates of a picture among the pictures that are known already.

Difference hashes find candidates. The sketches of :mod:`components.images.near_duplicates`
distinguish copies from other pictures with a similar outline. A picture is read only once for its
sketches. A file keeps them under the hash of the picture's pixels; it is a cache that can be
deleted at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from components.images import decoding
from components.images.hashing import ImageHashes, MaskedHash, masked_hashes, views, without_bars
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

_SHAPE, _SIZE = 0.06, 0.04  # largest log ratios of the proportions and of the sides of copies
_ROWS = np.dtype(
    [("hash", "<u8"), ("picture", "<i8"), ("part", "?"), ("sketched", "?"), ("detail", "<f4")]
)


@dataclass(frozen=True)
class _Search:
    """A view of a picture to search with. ``part``: the view is not the whole picture."""

    image: Image.Image
    hash: MaskedHash
    part: bool


class KnownPictures:
    """The pictures of the dataset and the collection, searchable by content.

    Two pictures are near-duplicates when two limits hold. Their difference hashes differ in at most
    the share ``max_hamming`` / 64 of the bits that noise cannot change. And their near-duplicate
    distance is at most ``near_duplicate_distance``
    (:func:`components.images.near_duplicates.distances`). A copy may have a plain border or the
    bars of a screen. A copy without those may be mirrored. ``file`` keeps sketches for the next
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
        self._rows = np.zeros(1024, dtype=_ROWS)  # one per view of a picture
        self._sketches = np.empty(1024, dtype=SKETCH)
        self._new: dict[str, bytes] = {}

    def add(self, hashes: ImageHashes, path: Path, image: Image.Image | None = None) -> None:
        """Add the picture at ``path``. With ``image`` it need not be read again for a search."""
        codes = hashes.dhashes
        first, self._count = self._count, self._count + len(codes)
        while self._count > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
            self._sketches = np.concatenate([self._sketches, np.empty_like(self._sketches)])
        rows = self._rows[first : self._count]
        rows["hash"], rows["picture"] = codes, len(self._pictures)
        rows["part"] = np.arange(len(codes)) > 0
        self._pictures.append((path, hashes.pixels))
        self._by_pixels.setdefault(hashes.pixels, path)
        if image is not None:
            self._set_sketches(first, self._count, _sketches(image))

    def same(self, hashes: ImageHashes) -> Path | None:
        """The known picture with the same pixels, or ``None``."""
        return self._by_pixels.get(hashes.pixels)

    def near(self, image: Image.Image) -> Path | None:
        """A known near-duplicate of ``image``, or ``None``.

        Raises :class:`EidolonError` when a candidate cannot be read.
        """
        for search in _searches(image):
            found = self._original(search, self._candidates(search.hash))
            if found is not None:
                return self._pictures[found][0]
        return None

    def save(self) -> None:
        """Write new sketches to the file, for the next time."""
        if self._new:
            with closing(_open(self._file)) as kept, kept:
                kept.executemany("insert or replace into sketches values (?, ?)", self._new.items())
            self._new.clear()

    def _candidates(self, sought: MaskedHash) -> npt.NDArray[np.intp]:
        """The rows whose hash is close to ``sought``."""
        bits, mask = np.uint64(sought.bits), np.uint64(sought.mask)
        most = -(-self._max_hamming * sought.mask.bit_count() // 64)
        apart = np.bitwise_count((self._rows["hash"][: self._count] ^ bits) & mask)
        return np.flatnonzero(apart <= most)

    def _original(self, search: _Search, rows: npt.NDArray[np.intp]) -> int | None:
        """The number of the first picture among ``rows`` that ``search`` is a copy of, if any."""
        if not len(rows):
            return None
        self._load_sketches(rows)
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

    def _load_sketches(self, rows: npt.NDArray[np.intp]) -> None:
        """Get the sketches of ``rows`` from the file, or else from the pictures."""
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
                self._set_sketches(int(first), int(end), made, new=found is None)

    def _set_sketches(self, first: int, end: int, made: Sketches, *, new: bool = True) -> None:
        """Set the sketches of the rows ``first`` to ``end``, which are the views of one picture."""
        rows = self._rows[first:end]
        if new:
            self._new[self._pictures[rows["picture"][0]][1]] = made.tobytes()
        made = np.resize(made, len(rows))  # older manifests have one hash for two views
        self._sketches[first:end], rows["detail"], rows["sketched"] = made, detail(made), True


def forget(pixels: Iterable[str], file: Path = SKETCHES) -> None:
    """Remove the sketches of the pictures with these hashes from ``file``."""
    if file.is_file():
        with closing(_open(file)) as kept, kept:
            kept.executemany("delete from sketches where pixels = ?", [(one,) for one in pixels])


def _sketches(image: Image.Image) -> Sketches:
    """A sketch of each view of ``image``."""
    return np.array([sketch(view) for view in views(image)], dtype=SKETCH)


def _searches(image: Image.Image) -> Iterator[_Search]:
    """The views of ``image`` that may be copies, and its mirror image.

    A picture on a plain ground is not mirrored: arrows to the left and to the right are different.
    """
    inner = without_bars(image)
    parts = [*views(image), *([] if inner is None else [inner])]
    for i, view in enumerate(parts):
        as_it_is, mirrored = masked_hashes(view)
        yield _Search(view, as_it_is, part=i > 0)
    if len(parts) == 1:
        yield _Search(ImageOps.mirror(image), mirrored, part=False)


def _fits(
    search: _Search, sizes: npt.NDArray[np.uint32], part: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Whether pictures with these ``sizes`` (N, 2) can be copies of ``search``: (N,).

    A copy of a whole picture may be stretched. A part keeps its proportions. A copy of a part also
    keeps its size, because a small and a large object on the same ground are different pictures.
    """
    ratio = np.log(sizes / np.array(search.image.size))
    same_shape = np.abs(ratio[:, 0] - ratio[:, 1]) <= _SHAPE
    same_size = np.abs(ratio).max(axis=1) <= _SIZE
    if search.part:
        return np.where(part, same_size, same_shape)
    return ~part | same_shape


def _from(blob: bytes) -> Sketches:
    return np.frombuffer(blob, dtype=SKETCH)


def _open(file: Path) -> sqlite3.Connection:
    """Open the file of sketches. A damaged file is replaced by an empty one."""
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
