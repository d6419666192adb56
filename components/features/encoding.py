"""Encodes what the store of features lacks, and reads the rest from it. All stages that need
features of pictures or texts get them here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.errors import EidolonError, TransientError
from components.features import store as stores
from components.features.segments import Bools, Keys, Rows, Segments
from components.features.store import Encoder, FeatureStore
from components.files import sha256
from components.images.decoding import MAX_PIXELS, grouped
from components.images.reading import read
from components.models.lazy import LazyClip
from components.names import fill
from components.progress import track
from components.vectors import Array

_TRIES = 3
"""How often rows are computed that vanish again: another process may prune, or the disk is bad."""

_TEXTS = 1024  # that are encoded at once


class Encoding:
    """The rows of N pictures by some encoders.

    ``files`` are read where the store lacks a row of one of ``keys`` (N, 32), the SHA-256 of the
    files' content, and counted in ``encoded``. A file that has changed since counts as what it is
    now. ``what`` names the pictures in lines of progress and errors. With ``reduced``, pictures are
    read no larger than the encoders need them.

    A picture that cannot be decoded raises :class:`EidolonError`; with ``lenient`` it has no rows
    and is not ``fine`` (N,). So does an empty list of files. ``shelves`` has the place of each
    encoder's rows in the store.
    """

    def __init__(
        self,
        files: Sequence[Path],
        keys: Keys,
        what: str,
        encoders: Sequence[Encoder],
        store: FeatureStore,
        *,
        reduced: bool = False,
        lenient: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if not files:
            raise EidolonError(
                f"there are no {what} pictures to embed: add pictures to the dataset"
            )
        sides = [store.side(e) if reduced else None for e in encoders]
        self._side = None if None in sides else max(s for s in sides if s is not None)
        self._files, self._keys, self._what = files, np.array(keys), what
        self._encoders, self._lenient, self._max_pixels = encoders, lenient, max_pixels
        self.shelves = [store.pictures(e, self._side) for e in encoders]
        self.fine: Bools = np.ones(len(files), dtype=bool)
        self.encoded = 0

    def fill(self) -> Encoding:
        """Encode what the store lacks, and store it. Returns this."""
        self._encode(np.stack([~shelf.has(self._keys) for shelf in self.shelves]))
        return self

    def row(self, encoder: int) -> tuple[tuple[int, ...], npt.DTypeLike]:
        """The shape and type of a row of the encoder number ``encoder``."""
        found = self.shelves[encoder].row()
        if found is None:  # no picture could be decoded
            rows = self._encoders[encoder].images([Image.new("RGB", (32, 32))])
            found = rows.shape[1:], rows.dtype
        return found

    def rows(self, encoder: int, out: Rows | None = None) -> Rows:
        """The rows (N, ...) of the encoder number ``encoder``, written to ``out`` if that is given;
        zero for a picture that is not ``fine``.

        Raises :class:`TransientError` when rows vanish as fast as they are stored.
        """
        if out is None:
            shape, kind = self.row(encoder)
            out = np.zeros((len(self._files), *shape), kind)
        for _ in range(_TRIES):
            absent = ~self.shelves[encoder].read(self._keys, out) & self.fine
            if not absent.any():
                return out
            missing = np.zeros((len(self._encoders), len(absent)), dtype=bool)
            missing[encoder] = absent
            self._encode(missing)
        raise TransientError(
            f"features vanish from {self.shelves[encoder].folder}: check its disk, then try again"
        )

    def _encode(self, missing: Bools) -> None:
        """Encode the pictures whose rows are ``missing`` (encoders, N), each content once."""
        wanted = np.flatnonzero(missing.any(axis=0) & self.fine)
        _, first = np.unique(self._keys[wanted], axis=0, return_index=True)
        at = wanted[np.sort(first)]
        if not at.size:
            return
        needed = [
            (encoder, shelf, lacks)
            for encoder, shelf, lacks in zip(self._encoders, self.shelves, missing, strict=True)
            if lacks.any()
        ]
        decoded: deque[int] = deque()
        try:
            batch = max(encoder.batch for encoder, *_ in needed)
            for images in grouped(self._decoded(at.tolist(), decoded), batch):
                rows = np.array([decoded.popleft() for _ in images])
                for encoder, shelf, lacks in needed:
                    some = np.flatnonzero(lacks[rows])
                    if some.size:
                        found = encoder.images([images[i] for i in some])
                        shelf.add(self._keys[rows[some]], found)
                self.encoded += len(rows)
        finally:
            for _, shelf, _ in needed:
                shelf.flush()

    def _decoded(self, at: list[int], decoded: deque[int]) -> Iterator[Image.Image]:
        """Yield the pictures number ``at``, and append the numbers of those to ``decoded``."""
        readings = read([self._files[i] for i in at], self._side, self._max_pixels)
        for i, reading in zip(track(at, f"encode {self._what}", "pictures"), readings, strict=True):
            if reading.image is not None:
                self._keys[i] = stores.keys([reading.sha256])[0]
                decoded.append(i)
                yield reading.image
            elif self._lenient:
                self.fine[(self._keys == self._keys[i]).all(axis=1)] = False
            elif reading.error is not None:
                raise reading.error


def encode(
    files: Sequence[Path],
    what: str,
    *encoders: Encoder,
    reduced: bool = False,
    store: FeatureStore | None = None,
) -> list[Array]:
    """The features of the pictures in ``files``, (N, d) float32 for each encoder; see
    :class:`Encoding`. Raises what that raises."""
    keys = stores.keys(digests(files))
    work = Encoding(files, keys, what, encoders, store or FeatureStore(), reduced=reduced).fill()
    return [work.rows(i) for i in range(len(encoders))]


def digests(files: Sequence[Path]) -> list[str]:
    """The SHA-256 of the content of each file, in hex; empty where there is no file."""
    return [sha256(file) if file.is_file() else "" for file in files]


def describe(
    clip: LazyClip,
    names: Sequence[str],
    templates: Sequence[str],
    store: FeatureStore | None = None,
) -> Array:
    """The text embedding of each name, (N, d): the mean over ``templates``, from the store where it
    has them. As in the paper's evaluation, the mean is not normalised again.

    Raises :class:`TransientError` when features vanish as fast as they are stored.
    """
    texts = [fill(template, name) for name in names for template in templates]
    keys = stores.of_texts(texts)
    address = clip.address | {"of": stores.TEXTS}
    shelf = (store or FeatureStore()).shelf("texts", address)
    lacking = ~shelf.has(keys)
    for _ in range(_TRIES):
        _encode_texts(clip, texts, keys, np.flatnonzero(lacking), shelf)
        shape, kind = shelf.row() or ((0,), np.float32)
        out = np.zeros((len(texts), *shape), kind)
        lacking = ~shelf.read(keys, out)
        if not lacking.any():
            return out.reshape(len(names), len(templates), -1).mean(axis=1)
    raise TransientError(f"features vanish from {shelf.folder}: check its disk, then try again")


def _encode_texts(
    clip: LazyClip, texts: Sequence[str], keys: Keys, at: npt.NDArray[np.intp], shelf: Segments
) -> None:
    """Encode the ``texts`` number ``at``, each once, and store them on ``shelf``."""
    _, first = np.unique(keys[at], axis=0, return_index=True)
    at = at[np.sort(first)]
    for start in range(0, len(at), _TEXTS):
        some = at[start : start + _TEXTS]
        shelf.add(keys[some], clip.texts([texts[i] for i in some]))
    shelf.flush()
