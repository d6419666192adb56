"""Reading pictures that may be corrupt, huge or no pictures at all."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from components.errors import EidolonError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 50_000_000
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error)
"""What decoders raise for damaged files."""

_ALLOWED = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
_SAVE = f"save it as {_ALLOWED}"


def read(source: Path | bytes, name: str | None = None) -> Image.Image:
    """Decode a whole picture to RGB, turned as its EXIF says.

    Raises :class:`EidolonError` naming the file when it cannot be read, is no picture of an allowed
    format, is truncated, has more than 8 bits a channel, or more than :data:`MAX_PIXELS` pixels.
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
                if image.format not in FORMATS:  # a JPEG with several pictures is an MPO
                    raise EidolonError(
                        f"{shown} is a picture of the format {image.format}: {_SAVE}"
                    )
                if image.mode == "F" or image.mode.startswith("I"):
                    raise EidolonError(f"{shown} has more than 8 bits a channel: {_SAVE} with 8")
                ImageOps.exif_transpose(image, in_place=True)
                return image.convert("RGB")
    except FileNotFoundError:
        if isinstance(source, Path) and source.is_symlink():
            raise EidolonError(
                f"{shown} is a link to {source.readlink()}, which does not exist: remove it, or"
                " bring that back"
            ) from None
        raise EidolonError(f"{shown} is missing: restore it, or remove its row") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise EidolonError(
            f"{shown} has more than {MAX_PIXELS} pixels: remove it or scale it down"
        ) from None
    except UnidentifiedImageError:
        raise EidolonError(
            f"{shown} cannot be decoded (it is no {_ALLOWED}): remove or replace it"
        ) from None
    except DAMAGE as error:
        raise EidolonError(f"{shown} cannot be decoded ({error}): remove or replace it") from None
