"""The routes beside the searches by text: the page and its files, pictures, lineage, similarity."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from bento.guard import refusal
from bento.media import kind_of
from bento.metrics import scraped
from bento.reference import PATHS, openapi
from components import config
from components.errors import EidolonError, QueryError, TransientError
from components.imagining.recipes import is_address

if TYPE_CHECKING:
    from bento.worker import Worker

log = logging.getLogger("bentoml.eidolon")
PAGE = Path(__file__).parent / "page"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}
FOR_EVER = {"Cache-Control": "max-age=31536000, immutable"}
SHOWN = 5  # known categories among the examples


class Web:
    """The routes of a service. It calls ``show`` once it has loaded its bundle."""

    def __init__(self, settings: config.Serve) -> None:
        pages = {"/": "index.html", "/docs": "docs.html"}
        pages |= {f"/{file.name}": file.name for file in PAGE.iterdir() if file.suffix != ".html"}
        self.pages = sorted(pages)
        self.routes = [*self.pages, *PATHS]
        self.app = Starlette(
            routes=[
                *(Route(url, _file(name)) for url, name in pages.items()),
                Route("/docs.json", self.reference),
                Route("/bundle", self.lineage),
                Route("/categories", self.categories),
                Route("/health", self.health),
                Route("/metrics", scraped),  # of all processes, instead of BentoML's
                Route("/images/{id:path}", self.image),
                Route("/similar", self.similar, methods=["POST"]),
                Route("/feedback", self.feedback, methods=["POST"]),
            ],
            exception_handlers={QueryError: _refused},
        )
        self._settings = settings

    def show(self, worker: Worker) -> None:
        """Serve what this worker holds."""
        self._worker = worker

    async def similar(self, request: Request) -> Response:
        """The pictures most like one."""
        from bento.similar import similar

        return await similar(request, self._worker, self._settings.upload_pixels)

    async def feedback(self, request: Request) -> Response:
        """What a person says of a picture."""
        from bento.feedback import feedback

        return await feedback(request, self._worker)

    def reference(self, request: Request) -> Response:
        """The OpenAPI text, instead of BentoML's."""
        image = str(self._worker.bundle.pictures["path"].iloc[0])
        return JSONResponse(openapi(self._worker.served.bundle.version, self._settings, image))

    def health(self, request: Request) -> Response:
        """Which bundle is served, and whether the Imaginer is there."""
        up = self._worker.imagination.up
        return JSONResponse(
            {"bundle": self._worker.served.bundle.model_dump(), "imaginer": "up" if up else "away"}
        )

    def lineage(self, request: Request) -> Response:
        """bundle.json without the hashes of its files, and what the page offers."""
        info: dict[str, Any] = {k: v for k, v in self._worker.bundle.info.items() if k != "files"}
        offered = {
            "examples": _examples(list(self._worker.bundle.categories["category"])),
            "columns": self._worker.retriever.columns,
            "originals": self._worker.bundle.has_originals,
            "described": self._worker.bundle.described is not None,
            "images": info["generator"]["images_per_category"],
        }
        return JSONResponse(self._worker.served.bundle.model_dump() | info | offered)

    def categories(self, request: Request) -> Response:
        """The known categories, and how many pictures of each the gallery has."""
        counts = self._worker.bundle.pictures["category"].value_counts()
        rows = self._worker.bundle.categories[["category", "split"]].to_dict("records")
        listed = [row | {"pictures": int(counts.get(row["category"], 0))} for row in rows]
        return JSONResponse({"categories": listed})

    async def image(self, request: Request) -> Response:
        """One picture, of the bundle or imagined for a text. It never changes under an address that
        has the bundle's digest or is the hash of its recipe."""
        path = request.path_params["id"]
        fixed = request.query_params.get("v") == self._worker.served.bundle.digest
        original = request.query_params.get("original") == "1"
        read = self._worker.bundle.original if original else self._worker.bundle.picture
        try:
            if is_address(path):
                data, fixed = await self._worker.beside(self._worker.memory.picture, path), True
            else:
                data = await self._worker.reading(read, path)
        except KeyError:
            data = None
        except (EidolonError, TransientError) as error:
            log.error("no picture: %s", error)
            return refusal(503, "the store of pictures cannot be read now: try again")
        if data is None:
            return refusal(404, "there is no such picture, or no longer")
        return Response(
            data,
            media_type=kind_of(data),
            headers=HEADERS | (FOR_EVER if fixed else {"Cache-Control": "no-cache"}),
        )


def _examples(categories: list[str]) -> list[str]:
    """Some known categories, evenly from the list, and a text that is not one of them."""
    known = categories[:: max(1, len(categories) // SHOWN)][:SHOWN]
    return [*known, f"{known[0]} and {known[-1]}"]


def _file(name: str) -> Any:
    def serve(request: Request) -> Response:
        return FileResponse(PAGE / name, headers=HEADERS | {"Cache-Control": "no-cache"})

    return serve


def _refused(request: Request, error: Exception) -> Response:
    return refusal(400, str(error))
