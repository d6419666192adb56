"""Pictures as bytes of a file, the inverse of :mod:`components.images.decoding`."""

from __future__ import annotations

import io
from typing import Any, Literal

from PIL import Image


def encode(image: Image.Image, kind: Literal["PNG", "JPEG"], **options: Any) -> bytes:
    """The file of ``image``; ``options`` are those of Pillow's writer, such as ``quality``."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
