"""Finds duplicates and near-duplicates of a picture among the pictures that are known already.

Difference hashes find candidates. The sketches of :mod:`components.images.near_duplicates`
distinguish copies from other pictures with a similar outline. A picture is read only once for its
sketches. A cache keeps them under the hash of the picture's pixels, and memory has only those that
a search has needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from components.cache import Cache
from components.images import decoding
from components.images.hashing import (
    ImageHashes,
    MaskedHash,
    codes_of,
    masked_hashes,
    views,
    without_bars,
)
from components.images.looks import made_by
from components.images.near_duplicates import (
    FAR,
    SKETCH,
    Sketches,
    detail,
    distances,
    sketch,
    zooms,
)
from components.paths import KNOWN

_SHAPE, _SIZE = 0.06, 0.04  # largest log ratios of the proportions and of the sides of copies
_ROWS = np.dtype([("picture", "<i8"), ("slot", "<i8"), ("part", "?")])  # of a view of a picture
_ABSENT = -1  # the slot of a view whose sketch is not in memory


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
        self, max_hamming: int, near_duplicate_distance: float, file: Path = KNOWN
    ) -> None:
        self._max_hamming, self._max_distance = max_hamming, near_duplicate_distance
        self._kept = _kept(file)
        self._by_pixels: dict[str, int] = {}
        self._pictures: list[tuple[str, str]] = []  # path and pixels; a Path takes four times more
        self._count = 0
        self._hashes = np.zeros(1024, dtype=np.uint64)  # one per view of a picture
        self._rows = np.zeros(1024, dtype=_ROWS)
        self._slots = 0
        self._sketches = np.empty(64, dtype=SKETCH)  # one per slot
        self._details = np.zeros(64, dtype=np.float32)

    def add(self, hashes: ImageHashes, path: Path, image: Image.Image | None = None) -> None:
        """Add the picture at ``path``. With ``image`` it need not be read again for a search."""
        self.add_all([str(path)], [hashes.pixels], [hashes.dhash])
        if image is not None:
            self._kept.put(hashes.pixels, _sketches(image).tobytes())

    def add_all(self, paths: Sequence[str], pixels: Sequence[str], dhashes: Sequence[str]) -> None:
        """Add many pictures, with the texts of their :class:`ImageHashes`."""
        codes = [codes_of(dhash) for dhash in dhashes]
        before = len(self._pictures)
        for i, one in enumerate(pixels, before):
            self._by_pixels.setdefault(one, i)
        self._pictures += zip(paths, pixels, strict=True)
        first = self._count
        self._count += sum(map(len, codes))
        self._hashes = _room(self._hashes, self._count)
        self._rows = _room(self._rows, self._count)
        self._hashes[first : self._count] = [code for one in codes for code in one]
        rows = self._rows[first : self._count]
        rows["picture"] = np.repeat(np.arange(before, len(self._pictures)), [*map(len, codes)])
        rows["slot"] = _ABSENT
        rows["part"] = np.diff(rows["picture"], prepend=-1) == 0

    def same(self, hashes: ImageHashes) -> Path | None:
        """The known picture with the same pixels, or ``None``."""
        found = self._by_pixels.get(hashes.pixels)
        return None if found is None else Path(self._pictures[found][0])

    def near(self, image: Image.Image) -> Path | None:
        """A known near-duplicate of ``image``, or ``None``.

        Raises :class:`EidolonError` when a candidate cannot be read.
        """
        for search in _searches(image):
            found = self._original(search, self._candidates(search.hash))
            if found is not None:
                return Path(self._pictures[found][0])
        return None

    def save(self) -> None:
        """Write new sketches to the file, for the next time."""
        self._kept.save()

    def _candidates(self, sought: MaskedHash) -> npt.NDArray[np.intp]:
        """The rows whose hash is close to ``sought``."""
        bits, mask = np.uint64(sought.bits), np.uint64(sought.mask)
        most = -(-self._max_hamming * sought.mask.bit_count() // 64)
        apart = np.bitwise_count((self._hashes[: self._count] ^ bits) & mask)
        return np.flatnonzero(apart <= most)

    def _original(self, search: _Search, rows: npt.NDArray[np.intp]) -> int | None:
        """The number of the first picture among ``rows`` that ``search`` is a copy of, if any."""
        if not len(rows):
            return None
        self._load_sketches(rows)
        sizes = self._sketches["size"][self._rows["slot"][rows]]
        rows = rows[_fits(search, sizes, self._rows["part"][rows])]
        apart = self._distances(sketch(search.image), rows)
        if not (apart <= 1).any():
            rows = rows[apart <= FAR]
            zoomed = [self._distances(z, rows) for z in (zooms(search.image) if len(rows) else ())]
            apart = np.min(zoomed, axis=0) if zoomed else apart[:0]
        close = rows[apart <= 1]
        return int(self._rows["picture"][close[0]]) if len(close) else None

    def _distances(self, one: np.void, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        slots = self._rows["slot"][rows]
        return distances(one, self._sketches, slots, self._details[slots], self._max_distance)

    def _load_sketches(self, rows: npt.NDArray[np.intp]) -> None:
        """Get the sketches of ``rows`` from the file, or else from the pictures."""
        missing = self._rows["picture"][rows[self._rows["slot"][rows] == _ABSENT]]
        for i in np.unique(missing):
            path, pixels = self._pictures[i]
            kept = self._kept.get(pixels)
            if kept is None:
                made = _sketches(decoding.decode(Path(path)))
                self._kept.put(pixels, made.tobytes())
            else:
                made = np.frombuffer(kept, dtype=SKETCH)
            first, end = np.searchsorted(self._rows["picture"][: self._count], [i, i + 1])
            self._set_sketches(self._rows[first:end], made)

    def _set_sketches(self, rows: npt.NDArray[np.void], made: Sketches) -> None:
        """Keep the sketches of ``rows``, the views of one picture, in memory."""
        first, self._slots = self._slots, self._slots + len(rows)
        self._sketches = _room(self._sketches, self._slots)
        self._details = _room(self._details, self._slots)
        made = np.resize(made, len(rows))  # older manifests have one hash for two views
        self._sketches[first : self._slots] = made
        self._details[first : self._slots] = detail(made)
        rows["slot"] = np.arange(first, self._slots)


def _room(array: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """``array``, or a copy of twice the length, so that it has at least ``count`` entries."""
    while count > len(array):
        array = np.concatenate([array, np.zeros_like(array)])
    return array


def forget(pixels: Iterable[str], file: Path = KNOWN) -> None:
    """Remove the sketches of the pictures with these hashes of pixels from ``file``."""
    kept = _kept(file)
    kept.remove(pixels)
    kept.save()


def _kept(file: Path) -> Cache:
    return Cache(file, "sketches", made_by("decoding", "hashing", "near_duplicates"))


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
