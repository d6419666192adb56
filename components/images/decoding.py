"""Decodes picture files, which may be damaged, huge or not pictures at all.

Every picture is read here, so that hashes, features and thumbnails see the same pixels. If a file
has several pictures (an animation, a camera's MPO, a TIFF with pages), the first one counts. It is
rotated as its EXIF data say, and :data:`GROUND` shows through where it is transparent.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pi_heif
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from components.errors import EidolonError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
"""The allowed formats, with Pillow's names. A JPEG of several pictures (MPO) counts as JPEG."""

MAX_PIXELS = 178_956_970
"""The most pixels of a picture. Pillow takes larger ones for decompression bombs."""

GROUND = (255, 255, 255)
"""The RGB colour behind a transparent picture: white, as on paper and in a browser."""

BATCH_BYTES = 128 << 20
"""The most bytes of decoded pictures in a batch."""

DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error)
"""The exceptions that decoders raise for damaged files."""

_ALLOWED = "PNG, JPEG, WebP, BMP, TIFF, GIF, AVIF or HEIC"
_SAVE = "save it as PNG or JPEG"

SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".avif", ".heic", ".heif", ".hif", ".jp2", ".jxl"),
)
"""Suffixes of files that are meant to be pictures, whatever their content."""

_OTHER_KINDS = (  # where a file of another kind says what it is, and the remedy
    (0, b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` in its repository"),
    (0, b"%PDF", f"a PDF: {_SAVE}"),
    (0, b"8BPS", f"a Photoshop file: {_SAVE}"),
    (0, b"\xff\x0a", f"JPEG XL: {_SAVE}"),
    (4, b"JXL ", f"JPEG XL: {_SAVE}"),
    (4, b"jP  ", f"JPEG 2000: {_SAVE}"),
    *((4, b"ftyp" + brand, "a video: remove it") for brand in (b"qt", b"mp4", b"isom", b"M4V")),
    (0, b"<svg", f"SVG: {_SAVE}"),
    (0, b"<?xml", f"SVG or other XML: {_SAVE}"),
    (0, b"<html", "a web page: download the picture again"),
    (0, b"<!doctype html", "a web page: download the picture again"),
)
_HEAD = 64  # bytes at the start of a file that tell its kind


class TooManyPixelsError(EidolonError):
    """A picture has more pixels than allowed."""


def decode(
    source: Path | bytes,
    name: str | None = None,
    *,
    side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """Decode a whole picture to RGB. Errors call it ``name``, or else by its path.

    ``side`` asks for a smaller picture, which saves time and memory. Its shorter side then has at
    least twice ``side`` pixels, unless the file has fewer. A JPEG is scaled while it is decoded,
    other formats afterwards.

    Raises :class:`EidolonError` when the file cannot be read, has no allowed format, is truncated,
    has more than 8 bits per channel, or is fully transparent. Raises :class:`TooManyPixelsError`
    for more than ``max_pixels`` pixels.
    """
    shown = _named(source, name)
    with _opened(source, shown) as image:
        if image.width * image.height > max_pixels:
            size = f"{image.width}x{image.height} pixels"
            raise TooManyPixelsError(f"{shown} has {size}, more than {max_pixels}: scale it down")
        if image.mode == "F" or image.mode.startswith("I"):
            raise EidolonError(f"{shown} has more than 8 bits per channel: {_SAVE} with 8")
        return _decoded(image, side, shown)


def format_of(source: Path | bytes, name: str | None = None) -> str:
    """The format of a picture by its content, one of :data:`FORMATS`. Reads only its header.

    Raises :class:`EidolonError` when it cannot be read or has no allowed format.
    """
    with _opened(source, _named(source, name)) as image:
        return "JPEG" if image.format == "MPO" else str(image.format)


def grouped(images: Iterable[Image.Image], count: int) -> Iterator[list[Image.Image]]:
    """Yield batches of ``count`` images, or fewer once they reach :data:`BATCH_BYTES`."""
    group: list[Image.Image] = []
    held = 0
    for image in images:
        group.append(image)
        held += image.width * image.height * 3
        if len(group) == count or held >= BATCH_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


@cache
def _formats() -> tuple[str, ...]:
    pi_heif.register_heif_opener()  # Pillow has no decoder of its own for HEIC
    return FORMATS


def _named(source: Path | bytes, name: str | None) -> str:
    return name or (str(source) if isinstance(source, Path) else "the picture")


@contextmanager
def _opened(source: Path | bytes, shown: str) -> Iterator[ImageFile.ImageFile]:
    """Open a picture without decoding it. Errors inside the block become :class:`EidolonError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata; the caller checks sizes
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=_formats()) as image:
                yield image
    except FileNotFoundError:
        if isinstance(source, Path) and source.is_symlink():
            raise EidolonError(
                f"{shown} is a link to {source.readlink()}, which does not exist: remove it, or"
                " restore its target"
            ) from None
        raise EidolonError(f"{shown} is missing: restore it, or remove its row") from None
    except Image.DecompressionBombError:
        raise TooManyPixelsError(
            f"{shown} has more than {MAX_PIXELS} pixels: scale it down"
        ) from None
    except UnidentifiedImageError:
        raise EidolonError(f"{shown} {_problem(_head(source))}") from None
    except DAMAGE as error:
        raise EidolonError(f"{shown} cannot be decoded ({error}): remove or replace it") from None


def _decoded(image: ImageFile.ImageFile, side: int | None, shown: str) -> Image.Image:
    _mend_transparency(image)
    factor = _factor(image, side)
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))
    ImageOps.exif_transpose(image, in_place=True)
    plain = _on_ground(image, shown)
    factor = _factor(plain, side)
    return plain.reduce(factor) if factor > 1 else plain


def _factor(image: Image.Image, side: int | None) -> int:
    """The largest divisor of the size of ``image`` that leaves twice ``side`` pixels."""
    return 1 if side is None else max(1, min(image.size) // (2 * side))


def _on_ground(image: Image.Image, shown: str) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    alpha = seen.getchannel("A")
    if alpha.getextrema() == (0, 0):
        raise EidolonError(f"{shown} is fully transparent: remove or replace it")
    plain = Image.new("RGB", seen.size, GROUND)
    plain.paste(seen, mask=alpha)
    return plain


def _mend_transparency(image: ImageFile.ImageFile) -> None:
    """Scale a PNG's transparent value to 8 bits.

    A PNG without an alpha channel may declare one value as transparent. Pillow scales pixels of 2,
    4 and 16 bits to 8 bits, but not that value.
    """
    value = image.info.get("transparency")
    if value is None or image.format != "PNG" or not image.tile:
        return
    match image.tile[0].args:
        case "L;2":
            image.info["transparency"] = value * 85
        case "L;4":
            image.info["transparency"] = value * 17
        case "RGB;16B":
            image.info["transparency"] = tuple(part >> 8 for part in value)


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:_HEAD]
    with source.open("rb") as file:
        return file.read(_HEAD)


def _problem(head: bytes) -> str:
    """The end of an error message about a file that starts with ``head`` and is not a picture."""
    if not head:
        return "cannot be decoded (it is empty): remove or replace it"
    for at, magic, what in _OTHER_KINDS:
        if head[at:].lower().startswith(magic.lower()):
            return f"is {what}"
    return f"cannot be decoded (it is not {_ALLOWED}): remove or replace it"
