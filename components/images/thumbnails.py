"""Small copies of pictures, to be shown in reports and beside the results of a search."""

from __future__ import annotations

import base64
from pathlib import Path

from PIL import Image

from components.errors import EidolonError
from components.images import decoding
from components.images.encoding import encode


def thumbnail(file: Path, side: int) -> Image.Image:
    """The picture in ``file``, in RGB; neither of its sides has more than ``side`` pixels.

    Raises :class:`EidolonError` when it cannot be decoded.
    """
    image = decoding.decode(file, side=side)
    image.thumbnail((side, side))
    return image


def inline(file: Path, side: int) -> str | None:
    """The thumbnail of ``file`` as an element of a page, with its pixels inside; ``None`` when it
    cannot be decoded."""
    try:
        data = base64.b64encode(encode(thumbnail(file, side), "PNG")).decode()
    except EidolonError:
        return None
    return f'<img alt="" src="data:image/png;base64,{data}">'
