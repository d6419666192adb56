"""What validation computes from the pixels of one picture, without a model.

It is kept in the store of features, as the rows of encoders that are no models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.code_versions import code, libraries
from components.validation.quality import contrast, pixels, sharpness
from components.vectors import Array, normalized


def views(image: Image.Image) -> Array:
    """The picture as it would look in an altered copy, by which copies are found: (24, 96).

    The copies are shifted by up to a 32nd of the side, cropped by that on all sides, brightened
    until highlights clip, or mirrored. The first view is the picture itself.

    Each view holds the brightness at 8x8 pixels, minus its mean, and the two colour differences of
    JPEG at 4x4 pixels. Lossy encoding keeps these. Each view is scaled to length one, so that
    contrast does not matter.
    """
    width, height = image.size
    lit = [image.point([min(255, round(v * gain)) for v in range(256)] * 3) for gain in _GAINS]
    shown = [(image, window) for window in _WINDOWS] + [(light, _WINDOWS[0]) for light in lit]
    found = []
    for light, (left, top, share) in shown:
        box = (left * width, top * height, (left + share) * width, (top + share) * height)
        small = light.convert("YCbCr").resize((_SIDE, _SIDE), Image.Resampling.HAMMING, box)
        values = np.asarray(small, dtype=np.float32)
        for side in (values, values[:, ::-1]):
            brightness = side[..., 0] - side[..., 0].mean()
            colour = side[..., 1:].reshape(_SIDE // 2, 2, _SIDE // 2, 2, 2).mean((1, 3)) - 128
            # a colour difference covers four pixels of brightness
            found.append(np.concatenate([brightness.ravel(), 2 * colour.ravel()]))
    return normalized(np.stack(found), least=1e-6)


_SIDE = 8  # of a view, in pixels
_EDGE = 1 / 32  # as a share of a picture's side
_INNER = 1 - 2 * _EDGE
_WINDOWS = [  # left, top and side, as shares of the picture; the first one is centred
    (_EDGE, _EDGE, _INNER),
    *((x * _EDGE, y * _EDGE, _INNER) for y in range(3) for x in range(3) if (x, y) != (1, 1)),
    ((1 - _INNER**2) / 2, (1 - _INNER**2) / 2, _INNER**2),
]
_GAINS = (1.15, 1.3)


class _FromPixels:
    """An encoder without a model: see :class:`components.features.encoding.Encoder`."""

    batch = 256
    side = None  # in full

    @property
    def address(self) -> dict[str, str]:
        """On what the rows depend, beside the pixels."""
        return {
            "libraries": libraries("numpy", "pi_heif", "pillow"),
            "code": code(
                "components.images.decoding",
                "components.validation.appearance",
                "components.validation.quality",
                "components.vectors",
            ),
        }


class Views(_FromPixels):
    """The :func:`views` of each picture."""

    kind = "views"

    def images(self, images: Sequence[Image.Image]) -> Array:
        """The views (N, 24, 96) of N pictures."""
        return np.stack([views(image) for image in images])


class Numbers(_FromPixels):
    """The :data:`NUMBERS` of each picture."""

    kind = "numbers"

    def images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
        """The numbers (N, 4) of N pictures, in the order of :data:`NUMBERS`."""
        return np.array(
            [[value(image) for value in NUMBERS.values()] for image in images], dtype=np.float64
        )


NUMBERS: dict[str, Callable[[Image.Image], float]] = {
    "width": lambda image: image.width,
    "height": lambda image: image.height,
    "contrast": lambda image: contrast(pixels(image)),
    "sharpness": lambda image: sharpness(pixels(image)),
}
"""The measures that are one number, by their columns."""
