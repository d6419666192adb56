"""Small copies of pictures, to be shown in reports and beside the results of a search."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from components.images import decoding


def thumbnail(file: Path, side: int) -> Image.Image:
    """The picture in ``file``, in RGB; neither of its sides has more than ``side`` pixels.

    Raises :class:`EidolonError` when it cannot be decoded.
    """
    image = decoding.decode(file, side=side)
    image.thumbnail((side, side))
    return image
