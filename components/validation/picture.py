"""What can be measured of one picture without any model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float64]

SIDE = 8  # of a thumbnail, in pixels


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether brightness rises from each cell of a 9x8 grid to the next on its right."""
    grid = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grid[:, 1:] > grid[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def pixels(image: Image.Image) -> Pixels:
    """(height, width, 3) in [0, 1]."""
    return np.asarray(image, dtype=np.float64) / 255


def contrast(values: Pixels) -> float:
    """Largest standard deviation of a colour channel, in [0, 0.5]. Gray alone would not do: a
    yellow star on a gray ground may have the same brightness everywhere."""
    return float(values.std(axis=(0, 1)).max())


def sharpness(values: Pixels) -> float:
    """Largest variance of the Laplacian of a colour channel; 0 for less than 3 pixels a side."""
    if min(values.shape[:2]) < 3:
        return 0.0
    middle = values[1:-1, 1:-1]
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    return float((around - 4 * middle).var(axis=(0, 1)).max())


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
