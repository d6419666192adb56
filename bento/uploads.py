"""Reads a picture that a caller uploads to search by it, and the fields beside it.

Whatever the bytes are, the outcome is a picture or one sentence. The form is read in memory: an
uploaded picture is never written to a disk. A URL is never fetched, because that would let callers
reach what only this machine can reach.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from bento.guard import MAX_BODY
from components.api.messages import Count, Filter, Offset, what_is_wrong
from components.errors import EidolonError, QueryError
from components.images.decoding import TooManyPixelsError, decode

MAX_SCANS = 100  # of a JPEG; encoders write about ten
_IMAGE = "image"
_PIECE = 64 * 1024  # bytes to parse before other requests have their turn
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")
_SOS, _EOI = 0xDA, 0xD9


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    k: Count = 20
    offset: Offset = 0
    filter: Filter = {}
    group: bool = False


@dataclass(frozen=True)
class Upload:
    """The bytes of a file, which of the similar pictures to return, and among which: as for a
    picture of the gallery (:class:`Similar`)."""

    data: bytes
    k: int
    offset: int
    filter: dict[str, str | list[str]]
    group: bool


async def received(request: Request) -> Upload:
    """The form of a request: the file `image`, and perhaps `k`, `offset`, `filter` and `group` as
    JSON.

    Raises :class:`QueryError` for anything else. The body must be bounded already
    (:class:`bento.guard.BodyGuard`).
    """
    body = await request.body()
    parser = MultiPartParser(
        request.headers,
        _pieces(body),
        max_files=1,
        max_fields=len(_Fields.model_fields) + 1,
        max_part_size=MAX_BODY,
    )
    parser.spool_max_size = len(body) + 1  # so that no file is spooled to a disk
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError) as error:
        why = error.message if isinstance(error, MultiPartException) else str(error)
        raise QueryError(f"the form cannot be read: {why.rstrip('.')}") from None
    return await _checked(form)


def decoded(data: bytes, max_pixels: int, side: int | None = None) -> Image.Image:
    """The picture in ``data`` as RGB, upright, on white where it is transparent.

    ``side`` is that of :func:`decode`, which takes the formats, and a picture has ``max_pixels``
    pixels at most. Raises :class:`QueryError` for anything else.
    """
    if _scans(data) > MAX_SCANS:
        raise QueryError("the picture is a JPEG of too many scans: save it again as a plain JPEG")
    try:
        return decode(data, "the picture", side=side, max_pixels=max_pixels)
    except TooManyPixelsError:
        large = f"the picture has more than {max_pixels} pixels: scale it down"
        raise QueryError(large) from None
    except EidolonError as error:
        raise QueryError(str(error)) from None
    except MemoryError:
        raise  # the service lacks it: that is not the caller's fault
    except Exception:  # decoders raise many kinds for files that are made to break them
        raise QueryError("the picture cannot be decoded: save it again as PNG or JPEG") from None


async def _pieces(body: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]
        await asyncio.sleep(0)


async def _checked(form: FormData) -> Upload:
    texts: dict[str, str] = {}
    data = None
    for name, value in form.multi_items():
        if name == _IMAGE and isinstance(value, UploadFile):
            data = await value.read()
        elif name == _IMAGE:
            raise QueryError("image: send the picture itself, as a file: no URL is fetched")
        elif isinstance(value, UploadFile) or name in texts:
            raise QueryError(f"{name}: send one short text")
        else:
            texts[name] = value
    if data is None:
        raise QueryError("image: the form has no file of this name")
    try:
        fields = _Fields.model_validate({name: _value(text) for name, text in texts.items()})
    except ValidationError as error:
        raise QueryError(what_is_wrong(error.errors()[:1])) from None
    return Upload(data, **dict(fields))


def _value(text: str) -> Any:
    """What the JSON ``text`` says, or else the text itself, for the errors to come."""
    try:
        return TypeAdapter(Any).validate_json(text)
    except ValidationError:
        return text


def _scans(data: bytes) -> int:
    """How many scans the first picture of a JPEG has; 0 for another format.

    Each scan goes over all pixels and may have but a few bytes. Decoders take any number of them.
    """
    if not data.startswith(b"\xff\xd8"):
        return 0
    count, at = 0, 2
    while (found := _MARKER.search(data, at)) is not None and found[1][0] != _EOI:
        count += found[1][0] == _SOS
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return count
