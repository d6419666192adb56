"""Rows of features that machines share: what one has encoded, another fetches.

features/SHELF/about.json            the encoder and its preparation
features/SHELF/NAME.safetensors      a segment, as the store writes it; it never changes
features/SHELF/NAME.keys             its keys, 32 bytes each: to learn which segments are needed

The keys are written last. So a segment without them is one whose writer was killed, and nobody
misses it. A machine keeps the keys that it has read, and fetches only segments with rows that it
lacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from components.features.segments import SUFFIX, Bools, Keys, Places, Rows, Segments, text
from components.files import scratch, write_bytes
from components.objects import Objects
from components.progress import note

_KEYS = ".keys"
_AT_ONCE = 4
_ROWS = 4096  # of a segment that shares rows that are here already


class SharedSegments(Segments):
    """Rows by key in ``folder``, and in ``objects`` under its name, with the address ``about``.

    Reading also raises what :class:`Objects` raises. So does writing, after the rows are here.
    """

    def __init__(self, folder: Path, objects: Objects, about: Mapping[str, str]) -> None:
        super().__init__(folder)
        self._objects, self._about = objects, about
        self._at = f"features/{folder.name}"
        self._known: dict[str, Keys] = {}

    def has(self, keys: Keys) -> Bools:
        """Which of ``keys`` (N, 32) are here, once those that any machine has are fetched: (N,).
        Rows that only this machine has are shared."""
        here = super().has(keys)
        self._read_keys()
        self._fetch(np.unique(keys[~here], axis=0))
        self._share(np.unique(keys[here], axis=0))
        return super().has(keys)

    def flush(self) -> tuple[Keys, Rows] | None:
        """Write what :meth:`add` was given, and share it."""
        written = super().flush()
        if written is not None and len(written[0]):
            self._put(*written)
        return written

    def _read_keys(self) -> None:
        """Learn which rows all machines have."""
        listed = {key.removeprefix(f"{self._at}/") for key in self._objects.keys(f"{self._at}/")}
        ends = (name.removesuffix(_KEYS) for name in listed if name.endswith(_KEYS))
        names = {name for name in ends if f"{name}{SUFFIX}" in listed}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            unknown = sorted(names - set(self._known))
            self._known |= zip(unknown, pool.map(self._keys_of, unknown), strict=True)

    def _keys_of(self, name: str) -> Keys:
        """The keys (n, 32) of the shared segment ``name``; none if they are damaged."""
        kept, data = self.folder / ".shared" / f"{name}{_KEYS}", None
        with suppress(FileNotFoundError):
            data = kept.read_bytes()
        if not data:
            data = self._objects.read(f"{self._at}/{name}{_KEYS}") or b""
            if len(data) % 32:
                return np.zeros((0, 32), np.uint8)
            with scratch(kept.parent) as place:
                write_bytes(data, kept, place)
        return np.frombuffer(data, np.uint8).reshape(-1, 32)

    def _fetch(self, wanted: Keys) -> None:
        """Add the rows of the ``wanted`` keys (n, 32) that are in shared segments and sound. What
        was damaged and computed again is in a newer one, so that is looked into first."""
        count, tried = 0, set[str]()
        while len(wanted):
            names = sorted(set(self._known) - tried, reverse=True)
            which = _places([self._known[name] for name in names], wanted)
            came = np.zeros(len(wanted), dtype=bool)
            for number in np.unique(which[which >= 0]):
                some = which == number
                came[some] = self._taken(names[number], wanted[some])
                tried.add(names[number])
            if (which < 0).all():
                break
            wanted, count = wanted[~came], count + int(came.sum())
        if count:
            self._merge()
            note(f"{self.folder.name}: {count:,} rows fetched")

    def _taken(self, name: str, keys: Keys) -> Bools:
        """Write the rows of ``keys`` (n, 32) that the shared segment ``name`` has. Returns which
        these are."""
        sound = np.zeros(len(keys), dtype=bool)
        data = self._objects.read(f"{self._at}/{name}{SUFFIX}")
        with scratch(self.folder) as place:
            (place / f"{name}{SUFFIX}").write_bytes(data or b"")
            there = Segments(place)
            if (row := there.row()) is not None:
                rows = np.zeros((len(keys), *row[0]), row[1])
                sound = there.read(keys, rows)
        if sound.any():
            self.write(keys[sound], rows[sound])
        return sound

    def _share(self, keys: Keys) -> None:
        """Share the rows of ``keys`` (n, 32) that no shared segment has."""
        keys = keys[_places(list(self._known.values()), keys) < 0]
        row = self.row()
        for start in range(0, len(keys) if row else 0, _ROWS):
            assert row is not None
            some = keys[start : start + _ROWS]
            rows = np.zeros((len(some), *row[0]), row[1])
            sound = self.read(some, rows)
            if sound.any():
                self._put(some[sound], rows[sound])

    def _put(self, keys: Keys, rows: Rows) -> None:
        """Write a shared segment with the ``rows`` (n, ...) of ``keys`` (n, 32)."""
        with scratch(self.folder) as place:
            made = Segments(place)
            made.write(keys, rows)
            (file,) = made.files()
            data, name = file.read_bytes(), file.name.removesuffix(SUFFIX)
        self._objects.write_once(f"{self._at}/about.json", json.dumps(self._about).encode())
        self._objects.write(f"{self._at}/{name}{SUFFIX}", data)
        self._objects.write(f"{self._at}/{name}{_KEYS}", np.ascontiguousarray(keys).tobytes())
        self._known[name] = keys


def _places(lists: Sequence[Keys], wanted: Keys) -> Places:
    """The first of ``lists`` that has each of the ``wanted`` keys (n, 32): (n,); -1 for none."""
    if not sum(map(len, lists)):
        return np.full(len(wanted), -1)
    owners = np.repeat(np.arange(len(lists)), [len(keys) for keys in lists])
    listed, first = np.unique(text(np.concatenate(lists)), return_index=True)
    at = np.minimum(np.searchsorted(listed, text(wanted)), len(listed) - 1)
    return np.where(listed[at] == text(wanted), owners[first[at]], -1)
