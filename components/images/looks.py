"""What picture files show, for all that compares them: each content is decoded once.

What a picture looks like follows from its file's content. So it is kept under the file's hash, in
`.eidolon/pictures.sqlite`, and the stage `dataset`, `ingest` and `inspect` share it. The file may
be deleted at any time.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.cache import Cache
from components.code_versions import code, libraries
from components.errors import EidolonError
from components.file_hashes import FileHashes
from components.images import decoding, hashing
from components.images.hashing import ImageHashes, image_hashes, thumbnail
from components.paths import KNOWN

_SIZE = "<II"
_START, _CELLS = 8, 3 * hashing.SIDE**2  # bytes before the thumbnail, and of it
_PIXELS = 64  # characters of the hash of the pixels


@dataclass(frozen=True)
class Look:
    """What a picture looks like: its hashes, its size in pixels, and its RGB values at 8x8 pixels,
    (192,)."""

    hashes: ImageHashes
    width: int
    height: int
    thumbnail: npt.NDArray[np.uint8]

    @property
    def outline(self) -> int:
        """The 64-bit difference hash of the whole picture."""
        return self.hashes.dhashes[0]

    def packed(self) -> bytes:
        """The same as bytes, for :meth:`unpacked`."""
        text = (self.hashes.pixels + self.hashes.dhash).encode()
        return struct.pack(_SIZE, self.width, self.height) + self.thumbnail.tobytes() + text

    @classmethod
    def unpacked(cls, data: bytes) -> Look:
        """The look that :meth:`packed` made ``data`` of."""
        width, height = struct.unpack_from(_SIZE, data)
        text = data[_START + _CELLS :].decode()
        hashes = ImageHashes(text[:_PIXELS], text[_PIXELS:])
        return cls(hashes, width, height, np.frombuffer(data, np.uint8, _CELLS, _START))


def made_by(*modules: str) -> str:
    """What makes something of a picture: these modules of this room, and the libraries."""
    names = (f"{__package__}.{module}" for module in modules)
    return f"{code(*names)}, {libraries('numpy', 'pi-heif', 'pillow')}"


def look(image: Image.Image) -> Look:
    """The look of a decoded picture."""
    small = np.rint(thumbnail(image) * 255).astype(np.uint8)
    return Look(image_hashes(image), image.width, image.height, small)


def small_sketches(file: Path = KNOWN) -> Cache:
    """What `inspect` compares in detail of a content, by its SHA-256, which ``file`` keeps."""
    return Cache(file, "small sketches", made_by("decoding", "near_duplicates"))


class Looks:
    """The looks of picture files. ``file`` keeps them for the next time. ``own`` is as for
    :class:`components.file_hashes.FileHashes`.

    ``new`` has the SHA-256 of each content that was not known before.
    """

    def __init__(self, file: Path = KNOWN, *, own: bool = False) -> None:
        self._file, self._hashes = file, FileHashes(file, own=own)
        self._kept = Cache(file, "looks", made_by("decoding", "hashing"))
        self.new: set[str] = set()

    def expect(self, paths: Sequence[Path]) -> list[str]:
        """Read at once what is known of ``paths``: the other methods will be asked for them next.
        Returns the hashes of those that can be read."""
        self._hashes.expect(paths)
        digests = []
        for path in paths:
            with suppress(OSError):
                digests.append(self._hashes.sha256(path))
        self._kept.expect(digests)
        return digests

    def sha256(self, path: Path) -> str:
        """The hash of a file's content. Raises :class:`EidolonError` if it cannot be read."""
        try:
            return self._hashes.sha256(path)
        except OSError as error:
            decoding.decode(path)  # says what is wrong with it
            raise EidolonError(f"{path} cannot be read ({error.strerror}): restore it") from None

    def of(self, path: Path) -> Look:
        """The look of the picture in the file ``path``.

        Raises :class:`EidolonError` when it cannot be read or decoded.
        """
        return self.known(self.sha256(path), path)

    def known(self, digest: str, source: Path | bytes) -> Look:
        """The look of the picture with the SHA-256 ``digest``, which ``source`` is or names, and
        which is decoded if it was not before. Raises as :meth:`of`."""
        kept = self._kept.get(digest)
        if kept is not None:
            return Look.unpacked(kept)
        seen = look(decoding.decode(source))
        self.put(digest, seen)
        return seen

    def put(self, digest: str, seen: Look) -> None:
        """Keep the look of the picture whose file has the SHA-256 ``digest``, as a new one."""
        self.new.add(digest)
        self._kept.put(digest, seen.packed())

    def forget(self, digests: Collection[str]) -> None:
        """Remove what is known of files with these hashes."""
        sketches = small_sketches(self._file)
        for kept in (self._kept, sketches):
            kept.remove(digests)
        sketches.save()

    def save(self) -> None:
        """Keep what is new for the next time."""
        self._hashes.save()
        self._kept.save()
