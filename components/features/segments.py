"""Rows by key in immutable files, which any number of processes add to, read, merge and prune.

A file is a segment: rows in the order in which they were added, and their keys in ascending order.
It is written aside, flushed to the disk and renamed. Small segments are merged, so that there are
few. A process that has an old segment mapped goes on reading it.
"""

from __future__ import annotations

import errno
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.arrays import create, mapped
from components.errors import EidolonError
from components.files import file_aside
from components.locks import BusyError, NoLocksError, held

Keys = npt.NDArray[np.uint8]
"""Keys of N rows: (N, 32)."""

Rows = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_FLUSH_ROWS = 512
_FLUSH_SECONDS = 20.0
"""What a killed process loses at most: so many rows, or what it computed in so many seconds."""

_FAN = 8
"""So many segments of about the same size become one."""

_CHUNK = 4096  # rows that are copied at once
SUFFIX = ".safetensors"
_OF_TIME = 20  # digits that begin a name: when the first of its rows were written


class _Segment(NamedTuple):
    """``keys`` (n,) ascend. ``places`` (n,) are their places among ``rows`` (n, ...), and ``sums``
    (n,) the CRC-32 of key and row by place."""

    keys: npt.NDArray[np.bytes_]
    places: Places
    sums: Places
    rows: Rows

    def by_place(self) -> npt.NDArray[np.bytes_]:
        """The keys (n,) in the order of the rows."""
        found = np.zeros_like(self.keys)
        within = (self.places >= 0) & (self.places < len(found))
        found[self.places[within]] = self.keys[within]
        return found


class Segments:
    """Rows of one shape and type by key, in a folder. Reading raises nothing: what is missing or
    damaged is absent. Writing raises :class:`EidolonError` where the folder is read-only, and
    ``OSError`` when the disk is full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, _Segment] = {}
        self._new: list[tuple[Keys, Rows]] = []
        self._since = 0.0

    def row(self) -> tuple[tuple[int, ...], npt.DTypeLike] | None:
        """The shape and type of a row; None while there are none."""
        for segment in self._segments():
            return segment.rows.shape[1:], segment.rows.dtype
        return None

    def has(self, keys: Keys) -> Bools:
        """Which of ``keys`` (N, 32) are here: (N,)."""
        return np.asarray(self._find(keys)[0] >= 0)

    def read(self, keys: Keys, out: Rows) -> Bools:
        """Copy the rows of ``keys`` (N, 32) to ``out`` (N, ...). Returns which were there (N,): the
        others are absent or damaged, and ``out`` has nothing of them."""
        segments = self._segments()
        which, places = self._find(keys, segments)
        sound = np.zeros(len(keys), dtype=bool)
        for number, segment in enumerate(segments):
            wanted = np.flatnonzero(which == number)
            for start in range(0, len(wanted), _CHUNK):
                at = wanted[start : start + _CHUNK]
                rows = segment.rows[places[at]]
                fine = _sums(text(keys[at]), rows) == segment.sums[places[at]]
                out[at[fine]] = rows[fine]
                sound[at] = fine
        return sound

    def add(self, keys: Keys, rows: Rows) -> None:
        """Add the ``rows`` (n, ...) of ``keys`` (n, 32), which must differ. They may wait in memory
        for others: :meth:`flush` writes them."""
        if not self._new:
            self._since = time.monotonic()
        self._new.append((np.array(keys), np.array(rows)))
        waiting = sum(len(keys) for keys, _ in self._new)
        if waiting >= _FLUSH_ROWS or time.monotonic() - self._since > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> tuple[Keys, Rows] | None:
        """Write what :meth:`add` was given. Returns that, or ``None`` if there was nothing."""
        if not self._new:
            return None
        keys, rows = (np.concatenate(parts) for parts in zip(*self._new, strict=True))
        self._new = []
        self.write(keys, rows)
        self._merge()
        return keys, rows

    def write(self, keys: Keys, rows: Rows) -> None:
        """Write the ``rows`` (n, ...) of ``keys`` (n, 32) at once, as a segment of their own."""
        self._write(text(keys), [(rows, np.arange(len(rows)))], f"{time.time_ns():0{_OF_TIME}d}")

    def size(self) -> int:
        """Bytes that all segments take on disk."""
        return sum(map(_bytes, self.files()))

    def remove(self, *, dry: bool = False) -> int:
        """Remove the folder. Returns the bytes that this frees; with ``dry`` it stays."""
        freed = self.size()
        if not dry:
            shutil.rmtree(self.folder, ignore_errors=True)
        return freed

    def keep(self, keys: Keys, *, dry: bool = False) -> int:
        """Remove all rows but those of ``keys`` (N, 32). Returns the bytes that this frees, about;
        with ``dry`` they stay.

        Raises :class:`EidolonError` where the file system has no locks.
        """
        wanted, freed = np.unique(text(keys)), 0
        with held(self.folder / _LOCK):
            for file in self.files():
                segment = _opened(file)
                kept = np.isin(segment.keys, wanted) if segment else np.zeros(1, dtype=bool)
                if segment and kept.all():
                    continue
                freed += round(_bytes(file) * (1 - kept.mean()))
                if not dry:
                    if segment and kept.any():
                        self._rewrite([(file, segment)], wanted)
                    file.unlink(missing_ok=True)
        return freed

    def files(self) -> list[Path]:
        """The files of all segments, the oldest first."""
        return sorted(f for f in self.folder.glob(f"*{SUFFIX}") if not f.name.startswith("."))

    def _segments(self) -> list[_Segment]:
        """All segments that can be read, the newest first: what was damaged and computed again is
        found where it is whole."""
        while True:
            names = [file.name for file in self.files()]
            self._open = {name: self._open[name] for name in names if name in self._open}
            for name in names:
                if name not in self._open and (segment := _opened(self.folder / name)):
                    self._open[name] = segment
            # a segment that vanished meanwhile was merged: then the merged one is to be opened
            if all(name in self._open or (self.folder / name).exists() for name in names):
                return [self._open[name] for name in reversed(names) if name in self._open]

    def _find(
        self, keys: Keys, segments: Sequence[_Segment] | None = None
    ) -> tuple[Places, Places]:
        """The segment of each of ``keys`` and the place there, (N,) each; -1 if it is absent."""
        texts = text(keys)
        which, places = np.full(len(keys), -1), np.zeros(len(keys), dtype=np.int64)
        left = np.argsort(texts)  # ascending keys are found faster
        for number, segment in enumerate(self._segments() if segments is None else segments):
            at = np.searchsorted(segment.keys, texts[left])
            at = np.minimum(at, len(segment.keys) - 1)
            found = segment.keys[at] == texts[left]
            which[left[found]] = number
            # a damaged place is one of another row, which its sum shows
            places[left[found]] = segment.places[at[found]] % len(segment.keys)
            left = left[~found]
        return which, places

    def _merge(self) -> None:
        """Merge segments while there are :data:`_FAN` of about the same size."""
        with suppress(BusyError, NoLocksError), held(self.folder / _LOCK, wait=False):
            while group := self._alike():
                self._rewrite(group, None)
                for file, _ in group:
                    file.unlink(missing_ok=True)

    def _alike(self) -> list[tuple[Path, _Segment]]:
        """Segments to be merged into one, if there are enough of about the same size."""
        tiers: dict[int, list[tuple[Path, _Segment]]] = {}
        for file in self.files():
            if segment := _opened(file):
                tier = tiers.setdefault((len(segment.keys).bit_length() - 1) // 3, [])
                tier.append((file, segment))
                if len(tier) == _FAN:
                    return tier
        return []

    def _rewrite(
        self, group: Sequence[tuple[Path, _Segment]], wanted: npt.NDArray[np.bytes_] | None
    ) -> None:
        """Write the sound rows of ``group`` as one segment in its place, each key once; if keys are
        ``wanted``, only those."""
        keys: list[npt.NDArray[np.bytes_]] = []
        taken: list[tuple[Rows, Places]] = []
        for _, segment in group:
            own = segment.by_place()
            fine = (own != b"") & (_all_sums(own, segment.rows) == segment.sums)
            if wanted is not None:
                fine &= np.isin(own, wanted)
            for other in keys:
                fine &= ~np.isin(own, other)
            keys.append(own[fine])
            taken.append((segment.rows, np.flatnonzero(fine)))
        if sum(map(len, keys)):
            self._write(np.concatenate(keys), taken, group[0][0].name[:_OF_TIME])

    def _write(
        self,
        keys: npt.NDArray[np.bytes_],
        parts: Sequence[tuple[Rows, Places]],
        begins: str,
    ) -> None:
        """Write a segment with ``keys``, one for each row of ``parts``: arrays and the places in
        them that are copied. ``begins`` begins its name."""
        count, order, like = len(keys), np.argsort(keys), parts[0][0]
        shapes: dict[str, tuple[tuple[int, ...], npt.DTypeLike]] = {
            "keys": ((count, 32), np.uint8),
            "places": ((count,), np.int64),
            "sums": ((count,), np.int64),
            "rows": ((count, *like.shape[1:]), like.dtype),
        }
        name = f"{begins}-{uuid.uuid4().hex[:12]}{SUFFIX}"
        with writing(self.folder), file_aside(self.folder / name) as aside:
            made = create(aside, shapes)
            made["keys"][:] = keys[order].view(np.uint8).reshape(-1, 32)
            made["places"][:] = order
            done = 0
            for rows, places in parts:
                for start in range(0, len(places), _CHUNK):
                    chunk = rows[places[start : start + _CHUNK]]
                    part = slice(done, done := done + len(chunk))
                    made["rows"][part], made["sums"][part] = chunk, _sums(keys[part], chunk)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise :class:`EidolonError` when nothing can be written to ``folder`` inside this block."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise EidolonError(
            f"features cannot be stored in {folder} ({error.strerror}): make it writable, or set"
            " EIDOLON_FEATURES to another folder"
        ) from None


_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
_LOCK = ".lock"


def _opened(file: Path) -> _Segment | None:
    """The segment in ``file``; None if it is missing or damaged."""
    try:
        found = mapped(file)
        keys, places, sums, rows = (found[name] for name in _Segment._fields)
    except (EidolonError, KeyError):
        return None
    if keys.dtype != np.uint8 or keys.shape != (len(rows), 32) or not len(rows):
        return None
    if not places.shape == sums.shape == (len(rows),):
        return None
    return _Segment(text(keys), places, sums, rows)


def text(keys: Keys) -> npt.NDArray[np.bytes_]:
    """``keys`` (N, 32) as N texts of bytes, which can be compared and sorted."""
    return np.ascontiguousarray(keys).view("S32")[:, 0]


def _sums(keys: npt.NDArray[np.bytes_], rows: Rows) -> Places:
    """The CRC-32 (n,) of each key and its row."""
    names, data = keys.tobytes(), np.ascontiguousarray(rows).tobytes()
    size = len(data) // max(len(rows), 1)
    return np.array(
        [
            zlib.crc32(data[i * size : (i + 1) * size], zlib.crc32(names[i * 32 : (i + 1) * 32]))
            for i in range(len(rows))
        ],
        dtype=np.int64,
    )


def _all_sums(keys: npt.NDArray[np.bytes_], rows: Rows) -> Places:
    """As :func:`_sums`, a chunk at a time."""
    starts = range(0, len(rows), _CHUNK)
    return np.concatenate([_sums(keys[i : i + _CHUNK], rows[i : i + _CHUNK]) for i in starts])


def _bytes(file: Path) -> int:
    with suppress(FileNotFoundError):
        return file.stat().st_size
    return 0
