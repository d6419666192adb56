"""Reading pictures that may be corrupt, huge or no pictures at all."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from components.errors import EidolonError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 50_000_000


def read(source: Path | bytes, name: str | None = None) -> Image.Image:
    """Decode a whole picture to RGB.

    Raises :class:`EidolonError` naming the file when it cannot be read, is no picture of an allowed
    format, is truncated, or has more than :data:`MAX_PIXELS` pixels.
    """
    shown = name or (str(source) if isinstance(source, Path) else "the picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise EidolonError(
                        f"{shown} has {image.width}x{image.height} pixels, more than {MAX_PIXELS}:"
                        " remove it or scale it down"
                    )
                return image.convert("RGB")
    except FileNotFoundError:
        raise EidolonError(f"{shown} is missing: restore it, or remove its row") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise EidolonError(
            f"{shown} has more than {MAX_PIXELS} pixels: remove it or scale it down"
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise EidolonError(f"{shown} cannot be decoded ({error}): remove or replace it") from None
