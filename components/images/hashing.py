"""Hashes that find copies of a picture: exact ones of its pixels, and perceptual ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

SIDE = 8  # side of a thumbnail, in pixels
_FLAT = 2  # levels of 255: noise can reverse the sign of a brightness step this small
_GROUND = 16  # levels of 255: a pixel this close to the ground's colour counts as ground
_BAR = 0.7  # least share of ground in each line of a bar, which may show icons


@dataclass(frozen=True)
class ImageHashes:
    """The hashes of a picture, as text for tables.

    ``pixels`` is the SHA-256 of size and RGB values. ``dhash`` is the 64-bit difference hash in
    hex. If the picture has a plain border, the hash of the part inside the border follows.
    """

    pixels: str
    dhash: str

    @property
    def dhashes(self) -> list[int]:
        """The difference hash of each of :func:`views`."""
        return codes_of(self.dhash)


def codes_of(dhash: str) -> list[int]:
    """The difference hashes in the text of :attr:`ImageHashes.dhash`."""
    return [int(dhash[i : i + 16], 16) for i in range(0, len(dhash), 16)]


@dataclass(frozen=True)
class MaskedHash:
    """A difference hash to search with. ``mask`` has a 1 for each bit that noise cannot change."""

    bits: int
    mask: int


def image_hashes(image: Image.Image) -> ImageHashes:
    """The hashes of ``image``."""
    rgb = image.convert("RGB")
    digest = hashlib.sha256(f"{rgb.width}x{rgb.height}".encode() + rgb.tobytes())
    hashes = [f"{difference_hash(view):016x}" for view in views(rgb)]
    return ImageHashes(digest.hexdigest(), "".join(hashes))


def difference_hash(image: Image.Image) -> int:
    """The 64-bit difference hash (dHash) of ``image``.

    A bit says whether brightness rises from a cell of a 9x8 grid to its right neighbour.
    """
    return _pack(_rises(image) > 0)


def masked_hashes(image: Image.Image) -> tuple[MaskedHash, MaskedHash]:
    """The hashes of ``image`` and of its mirror image."""
    rises = _rises(image)
    both = (rises, -rises[:, ::-1])
    as_it_is, mirrored = (MaskedHash(_pack(way > 0), _pack(np.abs(way) > _FLAT)) for way in both)
    return as_it_is, mirrored


def views(image: Image.Image) -> list[Image.Image]:
    """The whole picture and, if it has a plain border, the part inside the border."""
    inner = _within(image, 0)
    return [image] if inner is None else [image, inner]


def without_bars(image: Image.Image) -> Image.Image | None:
    """The part between bars, such as a phone's, which may show icons; ``None`` without bars."""
    return _within(image, 1 - _BAR)


def thumbnail(image: Image.Image) -> npt.NDArray[np.float32]:
    """(192,) in [0, 1]: the RGB values of the picture at 8x8 pixels, to find copies by."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / np.float32(255)


def _rises(image: Image.Image) -> npt.NDArray[np.int16]:
    """(8, 8): the rise of brightness from each cell to its right neighbour, in levels of 255."""
    grid = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return grid[:, 1:] - grid[:, :-1]


def _pack(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


def _within(image: Image.Image, share: float) -> Image.Image | None:
    """The part of the picture inside its ground, whose colour is that of the first pixel.

    The part reaches from the first to the last row, and from the first to the last column, that has
    more than ``share`` of other colours. ``None`` when the part is nearly everything or nearly
    nothing, or when no edge of the picture has the ground's colour.
    """
    ground = _pixel(image)
    small = np.asarray(image.reduce(max(1, min(image.size) // 64)), dtype=np.int16)
    other = (np.abs(small - np.array(ground)) > _GROUND).any(axis=2)
    edges = (other[0], other[-1], other[:, 0], other[:, -1])
    if min(float(edge.mean()) for edge in edges) > 1 - _BAR:
        return None
    apart = ImageChops.difference(image, Image.new("RGB", image.size, ground))
    red, green, blue = apart.split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    mask = most.point([255 * (level > _GROUND) for level in range(256)])
    box: list[int] = []
    for size in ((image.width, 1), (1, image.height)):
        line = np.asarray(mask.resize(size, Image.Resampling.BOX)).ravel()
        inside = np.flatnonzero(line > 255 * share)
        if not len(inside):
            return None
        box += [int(inside[0]), int(inside[-1]) + 1]
    left, right, top, bottom = box
    area = (right - left) * (bottom - top) / (image.width * image.height)
    return image.crop((left, top, right, bottom)) if 0.02 < area < 0.97 else None


def _pixel(image: Image.Image) -> tuple[int, int, int]:
    red, green, blue = np.asarray(image.crop((0, 0, 1, 1)))[0, 0].tolist()
    return red, green, blue
