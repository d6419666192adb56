"""The GET routes: the page, the reference, the bundle's lineage and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from bento.api import BundleName
from bento.guard import refusal
from bento.reference import openapi
from components import config

if TYPE_CHECKING:
    from components.serving.loading import Bundle

PAGE = Path(__file__).parent / "page"
FILES = {
    "/": "index.html",
    "/docs": "docs.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/icon.svg": "icon.svg",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}
PNG = b"\x89PNG"
SHOWN = 5  # known categories among the examples


class Web:
    """The routes of a service. It calls ``show`` once it has loaded its bundle."""

    def __init__(self, settings: config.Serve) -> None:
        self.app = Starlette(
            routes=[
                *(Route(url, _file(name)) for url, name in FILES.items()),
                Route("/docs.json", self.reference),
                Route("/bundle", self.lineage),
                Route("/picture/{id:path}", self.picture),
            ]
        )
        self._bundle: Bundle | None = None
        self._name: BundleName | None = None
        self._settings = settings

    def show(self, bundle: Bundle, name: BundleName) -> None:
        """Serve this bundle from now on."""
        self._bundle, self._name = bundle, name

    def reference(self, request: Request) -> Response:
        """The OpenAPI text, instead of BentoML's."""
        if self._name is None:
            return refusal(503, "the bundle is still loading")
        return JSONResponse(openapi(self._name.version, self._settings))

    def lineage(self, request: Request) -> Response:
        """bundle.json without the hashes of its files, and some queries to start with."""
        if self._bundle is None or self._name is None:
            return refusal(503, "the bundle is still loading")
        info: dict[str, Any] = {k: v for k, v in self._bundle.info.items() if k != "files"}
        examples = _examples(list(self._bundle.categories["category"]))
        return JSONResponse(self._name.model_dump() | info | {"examples": examples})

    def picture(self, request: Request) -> Response:
        """One picture of pictures.zip. It never changes under a URL with the bundle's digest."""
        if self._bundle is None or self._name is None:
            return refusal(503, "the bundle is still loading")
        path = request.path_params["id"]
        try:
            data = self._bundle.picture(path)
        except KeyError:
            return refusal(404, "the bundle has no such picture")
        fixed = request.query_params.get("v") == self._name.digest
        return Response(
            data,
            media_type="image/png" if data.startswith(PNG) else "image/jpeg",
            headers=HEADERS
            | {"Cache-Control": "public, max-age=31536000, immutable" if fixed else "no-cache"},
        )


def _examples(categories: list[str]) -> list[str]:
    """Some known categories, evenly from the list, and a text that is not one of them."""
    known = categories[:: max(1, len(categories) // SHOWN)][:SHOWN]
    return [*known, f"{known[0]} and {known[-1]}"]


def _file(name: str) -> Any:
    def serve(request: Request) -> Response:
        return FileResponse(PAGE / name, headers=HEADERS | {"Cache-Control": "no-cache"})

    return serve
