"""`POST /similar`: the pictures most like one of the gallery, or like one that is uploaded."""

from __future__ import annotations

import base64

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bento.bodies import json_body
from bento.guard import refusal
from bento.imagination import DegradedError
from bento.logs import noted
from bento.tracing import span
from bento.uploads import decoded, received
from bento.worker import Worker
from components.api.messages import Similar, SimilarAnswer
from components.images.encoding import encode
from components.serving.retriever import How
from components.vectors import Array

_AWAY = "the service that encodes pictures is away or busy: ask again"
_SIDE = 518  # pixels: DINOv2's largest input


async def similar(request: Request, worker: Worker, max_pixels: int) -> Response:
    """The answer of ``worker``. An uploaded picture has ``max_pixels`` pixels at most.

    Raises :class:`QueryError` for a request that must be changed.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        return await _by_upload(request, worker, max_pixels)
    asked = await json_body(request, Similar)
    row = worker.retriever.row_of(asked.id)
    how = How(k=asked.k, offset=asked.offset, filter=asked.filter, group=asked.group)
    return await _answer(worker, worker.bundle.gallery.vision[row], how, row)


async def _by_upload(request: Request, worker: Worker, max_pixels: int) -> Response:
    upload = await received(request)
    with span("decode"):
        png = await worker.encoding(_prepared, upload.data, max_pixels)
    try:
        with span("encode"):
            vector = await worker.imagination.encode(png)
    except DegradedError:
        return refusal(503, _AWAY)
    how = How(k=upload.k, offset=upload.offset, filter=upload.filter, group=upload.group)
    return await _answer(worker, vector, how, None)


def _prepared(data: bytes, max_pixels: int) -> str:
    """The upload as a PNG in base64, no larger than an encoder needs it."""
    image = decoded(data, max_pixels, side=_SIDE)
    image.thumbnail((4 * _SIDE, 4 * _SIDE))
    return base64.b64encode(encode(image, "PNG")).decode()


async def _answer(worker: Worker, vector: Array, how: How, but: int | None) -> Response:
    found, total = await worker.beside(worker.retriever.similar, vector, how, but)
    served = worker.served
    answer = SimilarAnswer(
        request=noted().request,
        hits=served.hits(found),
        total=total,
        bundle=served.bundle,
        models=served.models,
    )
    return JSONResponse(answer.model_dump(mode="json"))
