"""A store of thumbnails, each under the content of its picture, so that none is made twice.

The store is a folder, which versions, clones and machines may share. Where `EIDOLON_THUMBNAILS` is
a URL, machines share the objects there, and the folder is this machine's own copy of them. A
thumbnail appears complete, begins with the SHA-256 of its bytes, and counts as absent when it does
not match them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from components.errors import TransientError
from components.files import ManyFiles, scratch, write_bytes
from components.images.encoding import encode
from components.images.thumbnails import thumbnail
from components.objects import opened
from components.paths import HOME
from components.progress import track

VARIABLE = "EIDOLON_THUMBNAILS"
"""The environment variable that names another folder, or by a URL what machines share."""

_DIGEST = 32  # bytes
_MADE = 1  # raise it when the same picture gives another thumbnail
_AT_ONCE = 16  # uploads, which mostly wait
_PAUSE = 20.0  # seconds for which objects that did not answer are not asked again


def key(sha256: str, side: int) -> str:
    """The name of the thumbnail with ``side`` pixels of a picture whose file has this hash."""
    return f"{sha256}-{side}-{_MADE}"


class Thumbnails:
    """Thumbnails by :func:`key` in the folder ``root``, and in the objects ``shared`` if machines
    share them. ``made`` and ``uploaded`` count what this object did."""

    def __init__(self, *, patient: bool = True) -> None:
        """See :func:`components.objects.opened` for ``patient``, and for what is raised."""
        given = os.environ.get(VARIABLE) or ""
        self.shared = opened(given, VARIABLE, patient=patient) if "://" in given else None
        own = Path(os.environ.get("EIDOLON_HOME") or HOME) / "thumbnails"
        self.root = Path(given) if given and self.shared is None else own
        self.made = self.uploaded = 0
        self._files = ManyFiles(self.root)
        self._away_until = 0.0

    def get(self, name: str) -> bytes | None:
        """The PNG or JPEG with this key, or ``None`` if it is absent or damaged.

        What only the shared objects have is kept here. Raises what :class:`Objects` raises.
        """
        data = self._here(name)
        if data is None and self.shared is not None:
            stored = self._fetched(name)
            data = _content(stored)
            if stored is not None and data is not None:
                with suppress(OSError), scratch(self.root) as place:  # one for each thread
                    write_bytes(stored, self._path(name), place)
        return data

    def of(self, file: Path, sha256: str, side: int) -> bytes:
        """The thumbnail of ``file``, whose hash is ``sha256``: it is made unless it is in the
        folder, since fetching one takes longer.

        Raises :class:`EidolonError` when it cannot be decoded.
        """
        name = key(sha256, side)
        data = self._here(name)
        if data is None:
            image = thumbnail(file, side)
            data = encode(image, "PNG" if max(image.size) <= 64 else "JPEG")
            self._files.write(self._path(name), hashlib.sha256(data).digest() + data)
            self.made += 1
        return data

    def keep(self, pictures: Sequence[tuple[Path, str]], side: int) -> None:
        """Make :meth:`get` find the thumbnails of ``pictures``, files with their hashes, on every
        machine that shares the store.

        The keys of the shared objects are listed once. Only what they lack is made and uploaded.
        Raises what :meth:`of` and :class:`Objects` raise.
        """
        there = set() if self.shared is None else set(self.shared.keys())
        missing = {key(sha256, side): (file, sha256) for file, sha256 in pictures}
        missing = {name: one for name, one in missing.items() if _place(name) not in there}
        for file, sha256 in track(list(missing.values()), "thumbnails", "pictures"):
            self.of(file, sha256, side)
        if self.shared is not None and missing:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                sent = pool.map(self._upload, missing)
                for _ in zip(track(list(missing), "upload", "thumbnails"), sent, strict=True):
                    self.uploaded += 1

    def writing(self) -> AbstractContextManager[None]:
        """Make thumbnails within this block. Removes what killed processes left behind."""
        return self._files.writing()

    def beside(self, needed: Collection[str]) -> list[Path]:
        """The files of all thumbnails but those with the keys ``needed``."""
        return [path for path in sorted(self.root.glob("??/*")) if path.name not in needed]

    def forget(self, hashes: Collection[str]) -> None:
        """Remove the thumbnails of the pictures whose files have these SHA-256s, here and from the
        shared objects. Raises what :class:`Objects` raises: call it again then."""
        for sha256 in hashes:
            for path in (self.root / sha256[:2]).glob(f"{sha256}-*"):
                path.unlink(missing_ok=True)
        if self.shared is not None:
            for sha256 in hashes:
                for place in self.shared.keys(_place(f"{sha256}-")):
                    self.shared.delete(place)

    def _here(self, name: str) -> bytes | None:
        try:
            return _content(self._path(name).read_bytes())
        except FileNotFoundError:
            return None

    def _fetched(self, name: str) -> bytes | None:
        """The shared object. Objects that did not answer just now are not waited for."""
        assert self.shared is not None
        if time.monotonic() < self._away_until:
            raise TransientError(f"{self.shared.url} did not answer just now: try again")
        try:
            return self.shared.read(_place(name))
        except TransientError:
            self._away_until = time.monotonic() + _PAUSE
            raise

    def _upload(self, name: str) -> None:
        assert self.shared is not None
        self.shared.write(_place(name), self._path(name).read_bytes())

    def _path(self, name: str) -> Path:
        return self.root / _place(name)


def _place(name: str) -> str:
    """Where the thumbnail with this key is, below the folder and among the objects."""
    return f"{name[:2]}/{name}"


def _content(stored: bytes | None) -> bytes | None:
    """The thumbnail in ``stored`` bytes, or ``None`` if they are damaged."""
    if stored is None or hashlib.sha256(stored[_DIGEST:]).digest() != stored[:_DIGEST]:
        return None
    return stored[_DIGEST:]
