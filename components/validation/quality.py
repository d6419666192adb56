"""What can be measured of one picture without any model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float64]


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
