"""The OpenAPI text of this service. BentoML's own has neither the GET routes nor the errors."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from bento.logs import HEADER
from bento.media import KINDS
from components import config
from components.api.messages import (
    Answer,
    BundleName,
    Failure,
    Feedback,
    Query,
    Similar,
    SimilarAnswer,
)

ERRORS = {
    400: "the body is no JSON, a field is missing, unknown, of the wrong type or out of its range",
    401: "the service has keys, and the request has none of them",
    403: "the request's `Host` or `Origin` is not one of those that the service allows",
    404: "there is no such picture or address, or feedback is off",
    408: "the body did not come within {serve.body_seconds:g} seconds",
    413: "the body exceeds 64 KiB, or an uploaded picture `serve.upload_bytes`",
    415: "the request's `Content-Type` is not `application/json`, nor `multipart/form-data` for"
    " `/similar`",
    429: "{serve.concurrent_requests} requests are being answered already, or a key asks too often:"
    " ask again, as for 503",
    500: "a fault of the service; its log says more",
    503: "the service has no room for the request: `Retry-After` says in how many seconds to ask"
    " again",
    504: "the answer took longer than {serve.timeout_seconds:g} seconds",
}
"""What each status means; the settings of the service are filled in."""

PATHS = (
    *("/search", "/search/stream", "/similar", "/feedback", "/bundle", "/categories", "/docs.json"),
    *("/health", "/images/{id}", "/livez", "/readyz", "/metrics"),
)
"""The addresses of the service beside its page."""

ANYWHERE = (401, 403, 429, 500, 503, 504)
BODY = (400, 408, 413, 415)
HEADERS = {
    HEADER: {"description": "the id of the answer", "schema": {"type": "string"}},
    "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}},
}
REFERENCE = "#/components/schemas/{model}"
STREAM = {
    "schema": {"description": "server-sent events; the data of each is JSON"},
    "example": 'event: text\ndata: {"hits": [...]}\n\n'
    'event: imagined\ndata: {"id": "..."}\n\n'
    'event: fused\ndata: {"hits": [...]}\n\n'
    "event: done\ndata: {}\n\n",
}


def openapi(version: int, serve: config.Serve, image: str) -> dict[str, Any]:
    """The description in OpenAPI 3.1, for the bundle that is this ``version`` in the registry and a
    service with the settings ``serve``. ``image`` is the id of a picture that it has."""
    models: list[tuple[type, Any]] = [
        *((model, "validation") for model in (Query, Similar, Feedback)),
        *((model, "serialization") for model in (Answer, SimilarAnswer, BundleName, Failure)),
    ]
    _, schemas = models_json_schema(models, ref_template=REFERENCE)
    for model in (Similar, Feedback):
        shown = schemas["$defs"][model.__name__]
        shown["example"] = shown["example"] | {"id": image}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Eidolon",
            "description": "Text-to-image search through imagined pictures.",
            "version": str(version),
        },
        "servers": [{"url": "./"}],  # beside this text, whatever prefix a proxy adds
        "security": [{}, {"key": []}],
        "paths": {**_searches(serve), **_reads(serve, image)},
        "components": {
            "schemas": schemas["$defs"],
            "headers": HEADERS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _searches(serve: config.Serve) -> dict[str, Any]:
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "string", "format": "binary"}}
        | {
            name: {"type": "string", "description": "JSON, as in the other body"}
            for name in Similar.model_fields
            if name != "id"
        },
    }
    by_picture = _json(Similar) | {"multipart/form-data": {"schema": form}}
    return {
        "/search": _post(serve, "ranked pictures for a text", _json(Query), _json(Answer)),
        "/search/stream": _post(
            serve,
            "the same step by step: by text at once, then each imagined picture, then both",
            _json(Query),
            {"text/event-stream": STREAM},
        ),
        "/similar": _post(
            serve, "the pictures most like one picture", by_picture, _json(SimilarAnswer)
        ),
        "/feedback": {
            "post": {
                "summary": "whether a picture in an answer is right",
                "requestBody": {"required": True, "content": _json(Feedback)},
                "responses": {
                    "204": {"description": "it is noted", "headers": _headers(200)},
                    **_failures(serve, 404, *BODY, *ANYWHERE),
                },
            }
        },
    }


def _reads(serve: config.Serve, image: str) -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    name = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    original = {"name": "original", "in": "query", "schema": {"type": "string", "enum": ["1"]}}
    pictures = dict.fromkeys([*KINDS, "application/octet-stream"], binary)
    names = _json(BundleName)
    probes = {
        "/livez": "whether the service lives",
        "/readyz": "whether it can answer",
        "/metrics": "Prometheus metrics",
    }
    described = {
        "/bundle": ("what the served bundle was made from", names),
        "/categories": ("the categories that the service knows", {"application/json": {}}),
        "/health": (
            "which bundle is served, and whether the Imaginer is there",
            {"application/json": {}},
        ),
    }
    return {
        **{
            path: {"get": {"summary": what, "responses": _answers(serve, content, *ANYWHERE)}}
            for path, (what, content) in described.items()
        },
        "/images/{id}": {
            "get": {
                "summary": "one picture, of the gallery or imagined",
                "parameters": [
                    name | {"description": "the `id` of a picture", "example": image},
                    original | {"description": "the owner's file, where the bundle has it"},
                ],
                "responses": _answers(serve, pictures, 404, *ANYWHERE),
            }
        },
        **{
            path: {"get": {"summary": what, "responses": _answers(serve, {}, *ANYWHERE)}}
            for path, what in probes.items()
        },
    }


def _json(model: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}}


def _post(
    serve: config.Serve, what: str, body: dict[str, Any], content: dict[str, Any]
) -> dict[str, Any]:
    return {
        "post": {
            "summary": what,
            "requestBody": {"required": True, "content": body},
            "responses": _answers(serve, content, *BODY, *ANYWHERE),
        }
    }


def _answers(serve: config.Serve, content: dict[str, Any], *errors: int) -> dict[str, Any]:
    answer = {"description": "the answer", "headers": _headers(200), "content": content}
    return {"200": answer} | _failures(serve, *errors)


def _failures(serve: config.Serve, *errors: int) -> dict[str, Any]:
    return {
        str(status): {
            "description": ERRORS[status].format(serve=serve),
            "headers": _headers(status),
            "content": _json(Failure),
        }
        for status in errors
    }


def _headers(status: int) -> dict[str, Any]:
    """The headers of an answer with this status."""
    names = [HEADER, "Retry-After"] if status in (429, 503) else [HEADER]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
