"""Measures of one picture that need no model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float64]


def pixels(image: Image.Image) -> Pixels:
    """The pixels of an RGB picture: (height, width, 3), in [0, 1]."""
    return np.asarray(image, dtype=np.float64) / 255


def contrast(values: Pixels) -> float:
    """The largest standard deviation of a colour channel, in [0, 0.5].

    Brightness alone is not enough: a yellow star on a grey background may have the same brightness
    everywhere.
    """
    return float(values.std(axis=(0, 1)).max())


def sharpness(values: Pixels) -> float:
    """The largest variance of the Laplacian of a colour channel; 0 for a side under 3 pixels."""
    if min(values.shape[:2]) < 3:
        return 0.0
    middle = values[1:-1, 1:-1]
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    return float((around - 4 * middle).var(axis=(0, 1)).max())
