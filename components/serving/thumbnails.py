"""A store of thumbnails, each under the content of its picture, so that none is made twice.

The folder may be shared by versions, clones and machines. A thumbnail appears by a rename, begins
with the SHA-256 of its bytes, and counts as absent when it does not match them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from components.files import ManyFiles
from components.images.encoding import encode
from components.images.thumbnails import thumbnail
from components.paths import HOME

VARIABLE = "EIDOLON_THUMBNAILS"
"""The environment variable that names another folder."""

_DIGEST = 32  # bytes
_MADE = 1  # raise it when the same picture gives another thumbnail


def key(sha256: str, side: int) -> str:
    """The name of the thumbnail with ``side`` pixels of a picture whose file has this hash."""
    return f"{sha256}-{side}-{_MADE}"


class Thumbnails:
    """Thumbnails by :func:`key` in ``root``. ``made`` counts those that this object made."""

    def __init__(self, root: Path | None = None) -> None:
        home = Path(os.environ.get("EIDOLON_HOME") or HOME)
        self.root = root or Path(os.environ.get(VARIABLE) or home / "thumbnails")
        self.made = 0
        self._files = ManyFiles(self.root)

    def get(self, name: str) -> bytes | None:
        """The PNG or JPEG with this key, or ``None`` if it is absent or damaged."""
        try:
            data = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        whole = hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST]
        return data[_DIGEST:] if whole else None

    def of(self, file: Path, sha256: str, side: int) -> bytes:
        """The thumbnail of ``file``, whose hash is ``sha256``: it is made unless it is there.

        Raises :class:`EidolonError` when it cannot be decoded.
        """
        name = key(sha256, side)
        data = self.get(name)
        if data is None:
            image = thumbnail(file, side)
            data = encode(image, "PNG" if max(image.size) <= 64 else "JPEG")
            self._files.write(self._path(name), hashlib.sha256(data).digest() + data)
            self.made += 1
        return data

    def writing(self) -> AbstractContextManager[None]:
        """Make thumbnails within this block. Removes what killed processes left behind."""
        return self._files.writing()

    def beside(self, needed: Collection[str]) -> list[Path]:
        """The files of all thumbnails but those with the keys ``needed``."""
        return [path for path in sorted(self.root.glob("??/*")) if path.name not in needed]

    def forget(self, hashes: Iterable[str]) -> None:
        """Remove the thumbnails of the pictures whose files have these SHA-256s."""
        for sha256 in hashes:
            for path in (self.root / sha256[:2]).glob(f"{sha256}-*"):
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.root / name[:2] / name
