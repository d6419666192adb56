"""Whether two pictures are the same: exactly, however encoded, or nearly, by perceptual hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from components import pictures

SIDE = 8  # of a thumbnail, in pixels


@dataclass(frozen=True)
class Likeness:
    """``pixels``: SHA-256 over size and RGB values; ``dhash``: the 64-bit difference hash, in hex.

    Both are text, so that a table can hold them.
    """

    pixels: str
    dhash: str


def likeness(image: Image.Image) -> Likeness:
    """What ``image`` is recognised by."""
    rgb = image.convert("RGB")
    digest = hashlib.sha256(f"{rgb.width}x{rgb.height}".encode() + rgb.tobytes())
    return Likeness(digest.hexdigest(), f"{difference_hash(rgb):016x}")


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether brightness rises from each cell of a 9x8 grid to the next on its right."""
    grid = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grid[:, 1:] > grid[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def thumbnail(image: Image.Image) -> npt.NDArray[np.float32]:
    """(192,) in [0, 1]: the colours of the picture at 8x8 pixels, by which copies are found."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / np.float32(255)


def differences(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """(N, M): the root mean square difference of each pair of thumbnails (N, 192), (M, 192)."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0) / np.float32(one.shape[1])).astype(np.float32)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures' RGB values at 8x8 pixels, in [0, 1]."""
    small = [
        np.asarray(i.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
        for i in (one, other)
    ]
    return float(np.abs(small[0] - small[1]).mean() / 255)


class Known:
    """Pictures that are there already. A near-duplicate is one whose difference hash lies within
    ``max_hamming`` bits of another's and whose colours differ by at most ``max_difference``: the
    hash finds candidates fast, the colours tell them from different pictures of like outline."""

    def __init__(self, max_hamming: int, max_difference: float) -> None:
        self._max_hamming, self._max_difference = max_hamming, max_difference
        self._by_pixels: dict[str, Path] = {}
        self._paths: list[Path] = []
        self._hashes: npt.NDArray[np.uint64] = np.empty(1024, dtype=np.uint64)

    def add(self, what: Likeness, path: Path) -> None:
        """Remember the picture at ``path``."""
        count = len(self._paths)
        if count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[count] = int(what.dhash, 16)
        self._paths.append(path)
        self._by_pixels.setdefault(what.pixels, path)

    def same(self, what: Likeness) -> Path | None:
        """A picture with the same pixels."""
        return self._by_pixels.get(what.pixels)

    def near(self, what: Likeness, image: Image.Image) -> Path | None:
        """The first near-duplicate of ``image``. Raises :class:`EidolonError` when a candidate
        cannot be read."""
        bits = np.uint64(int(what.dhash, 16))
        distances = np.bitwise_count(self._hashes[: len(self._paths)] ^ bits)
        for i in np.flatnonzero(distances <= self._max_hamming):
            if difference(image, pictures.read(self._paths[i])) <= self._max_difference:
                return self._paths[i]
        return None
