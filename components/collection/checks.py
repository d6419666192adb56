"""Checks of a single file: whether it can be read and is a whole picture in an allowed format."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from components.collection.opening import Unreadable, open_regular
from components.errors import EidolonError
from components.images import decoding, jpeg


class Rejected(Exception):  # noqa: N818 - about a file, not a failure of the program
    """A file is refused. ``kind`` is a short reason for statistics, the text is the full one.

    ``like`` is the owner's name for the picture that the file is a copy of, if any.
    """

    def __init__(self, kind: str, reason: str, like: str = "") -> None:
        super().__init__(reason)
        self.kind, self.like = kind, like


def content(path: Path, below: Path | None, max_bytes: int) -> bytes:
    """The content of the file ``path``, which must be below ``below`` if that is given.

    Raises :class:`Rejected` when it is unreadable or has more than ``max_bytes``.
    """
    try:
        with open_regular(path, below) as file:
            data = file.read(max_bytes + 1)
    except Unreadable as error:
        raise Rejected(error.kind, str(error)) from None
    except OSError as error:
        raise Rejected("missing", f"cannot be read ({error.strerror})") from None
    if len(data) > max_bytes:
        raise Rejected(
            "too big", f"has more than {max_bytes} bytes: shrink it, or raise ingest.max_file_bytes"
        )
    return data


def decode(data: bytes, max_pixels: int = decoding.MAX_PIXELS) -> tuple[Image.Image, str]:
    """Decode a whole picture to RGB. Returns its format too. Raises :class:`Rejected`."""
    try:
        image = decoding.decode(data, "it", max_pixels=max_pixels)
        kind = decoding.format_of(data, "it")
        if kind == "PNG":
            with Image.open(BytesIO(data), formats=["PNG"]) as again:
                again.verify()  # the checksums and the end
    except decoding.TooManyPixelsError as error:
        raise Rejected(
            "too many pixels", f"{error}, or raise ingest.max_pixels in params.yaml"
        ) from None
    except EidolonError as error:
        raise Rejected("not decoded", str(error)) from None
    except decoding.DAMAGE as error:
        raise Rejected("not decoded", f"it is damaged ({error})") from None
    if kind == "JPEG" and not jpeg.is_whole(data):
        raise Rejected("not decoded", "it is truncated: its end marker is missing")
    return image, kind
