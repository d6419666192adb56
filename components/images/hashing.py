"""What a picture is recognised by: exactly, however encoded, or roughly, by perceptual hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

SIDE = 8  # of a thumbnail, in pixels
_FLAT = 2  # levels of 255, up to which noise can turn a rise of brightness into a fall
_GROUND = 16  # levels of 255, within which a pixel has the ground's colour
_BAR = 0.7  # share of a line with the ground's colour, so that signs may lie in it


@dataclass(frozen=True)
class Likeness:
    """``pixels``: SHA-256 over size and RGB values; ``dhash``: the 64-bit difference hash in hex,
    and behind it, of a picture with a plain border, that of what the border surrounds.

    Both are text, so that a table can hold them.
    """

    pixels: str
    dhash: str

    @property
    def hashes(self) -> list[int]:
        """One for each of :func:`views`."""
        return [int(self.dhash[i : i + 16], 16) for i in range(0, len(self.dhash), 16)]


@dataclass(frozen=True)
class Outline:
    """A difference hash to search with: its bits, and which of them noise cannot change."""

    bits: int
    certain: int


def likeness(image: Image.Image) -> Likeness:
    """What ``image`` is recognised by."""
    rgb = image.convert("RGB")
    digest = hashlib.sha256(f"{rgb.width}x{rgb.height}".encode() + rgb.tobytes())
    hashes = [f"{difference_hash(view):016x}" for view in views(rgb)]
    return Likeness(digest.hexdigest(), "".join(hashes))


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether brightness rises from each cell of a 9x8 grid to the next on its right."""
    return _pack(_rises(image) > 0)


def outlines(image: Image.Image) -> tuple[Outline, Outline]:
    """The hash of ``image``, and that of its mirror image."""
    rises = _rises(image)
    both = (rises, -rises[:, ::-1])
    as_it_is, mirrored = (Outline(_pack(way > 0), _pack(np.abs(way) > _FLAT)) for way in both)
    return as_it_is, mirrored


def views(image: Image.Image) -> list[Image.Image]:
    """The whole picture and, where it has a plain border, what the border surrounds."""
    inner = _within(image, 0)
    return [image] if inner is None else [image, inner]


def without_bars(image: Image.Image) -> Image.Image | None:
    """What bars surround, such as those of a screen, in which there may be signs."""
    return _within(image, 1 - _BAR)


def thumbnail(image: Image.Image) -> npt.NDArray[np.float32]:
    """(192,) in [0, 1]: the colours of the picture at 8x8 pixels, by which copies are found."""
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / np.float32(255)


def colour_distances(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """(N, M): the root mean square difference of each pair of thumbnails (N, 192), (M, 192)."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return np.sqrt(np.maximum(squares, 0) / np.float32(one.shape[1])).astype(np.float32)


def _rises(image: Image.Image) -> npt.NDArray[np.int16]:
    """(8, 8): by how much brightness rises to the right, from cell to cell."""
    grid = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return grid[:, 1:] - grid[:, :-1]


def _pack(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")


def _within(image: Image.Image, share: float) -> Image.Image | None:
    """What lies from the first to the last line of which more than ``share`` does not have the
    colour of the picture's first pixel; None where that is all, nearly nothing, or where no edge
    has that colour."""
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
