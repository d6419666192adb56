"""The OpenAPI text of this service. BentoML's own has neither the GET routes nor the errors."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from bento.api import BundleName, Failure, Query, Result
from bento.guard import MAX_BODY
from components import config

ERRORS = {
    400: "the body is no JSON, a field is missing, unknown, of the wrong type or out of its range",
    404: "the bundle has no such picture, or the server no such address",
    413: f"the body exceeds {MAX_BODY // 1024} KiB",
    415: "the request's `Content-Type` is not `application/json`",
    429: "{serve.concurrent_requests} requests are being answered already: ask again, as for 503",
    500: "a fault of the service; its log says more",
    503: "the bundle is still loading, or the service has no room for the search: `Retry-After`"
    " says in how many seconds to ask again",
    504: "the answer took longer than {serve.timeout_seconds:g} seconds",
}
"""What each status means; the settings of the service are filled in."""

ANYWHERE = (429, 500, 503, 504)
REFERENCE = "#/components/schemas/{model}"


def openapi(version: int, serve: config.Serve) -> dict[str, Any]:
    """The description in OpenAPI 3.1, for the bundle that is this ``version`` in the registry and a
    service with the settings ``serve``."""
    _, schemas = models_json_schema(
        [
            (Query, "validation"),
            (Result, "serialization"),
            (BundleName, "serialization"),
            (Failure, "serialization"),
        ],
        ref_template=REFERENCE,
    )
    picture = {"schema": {"type": "string", "format": "binary"}}
    name = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Eidolon",
            "description": "Text-to-image search through imagined pictures.",
            "version": str(version),
        },
        "paths": {
            "/search": {
                "post": {
                    "summary": "ranked pictures for a text",
                    "requestBody": {"required": True, "content": _json(Query)},
                    "responses": _responses(serve, _json(Result), 400, 413, 415, *ANYWHERE),
                }
            },
            "/bundle": {
                "get": {
                    "summary": "what the served bundle was made from",
                    "responses": _responses(serve, _json(BundleName), *ANYWHERE),
                }
            },
            "/picture/{id}": {
                "get": {
                    "summary": "one picture of the bundle",
                    "parameters": [name | {"description": "a hit's `id`"}],
                    "responses": _responses(
                        serve, {"image/png": picture, "image/jpeg": picture}, 404, *ANYWHERE
                    ),
                }
            },
            "/livez": {
                "get": {"summary": "whether the service lives", "responses": _responses(serve, {})}
            },
            "/readyz": {
                "get": {"summary": "whether it can answer", "responses": _responses(serve, {}, 500)}
            },
            "/metrics": {
                "get": {"summary": "Prometheus metrics", "responses": _responses(serve, {})}
            },
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _json(model: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}}


def _responses(serve: config.Serve, content: dict[str, Any], *errors: int) -> dict[str, Any]:
    failures = {
        str(status): {
            "description": ERRORS[status].format(serve=serve),
            "content": _json(Failure),
        }
        for status in errors
    }
    return {"200": {"description": "the answer", "content": content}} | failures
