"""The service: the API over a bundle, and the page. It owns what is light, and never draws.

It runs from its Bento alone: code, page and release.json lie in the Bento. The models lie in the
store under the tags in release.json. The settings in release.json are read when the class is
defined, because BentoML fixes them then. Heavy imports wait until a worker starts, so that a Bento
is built without them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from bento import logs, tracing
from bento.front import guarded
from bento.imaginer import QUIET, Imaginer
from bento.pins import settings
from bento.refusals import refusals
from bento.web import Web
from components.api.messages import Answer, Query

FAILED = '{"error": "the search failed: the log of the service says why"}'
log = logging.getLogger("bentoml.eidolon")
serve = settings()
web = Web(serve)


def _image() -> bentoml.images.Image:
    """What `bentoml containerize` begins with. It names no distribution that BentoML knows, so no
    compiler is installed: all packages have wheels."""
    return bentoml.images.Image("python:{}.{}-slim".format(*sys.version_info), distro="none")


@bentoml.service(
    name="eidolon",
    workers=serve.api_workers,
    traffic={"timeout": serve.timeout_seconds, "max_concurrency": serve.concurrent_requests},
    http={"host": "127.0.0.1", "port": 3000},
    **QUIET,
    runner_probe={"enabled": False},  # it answers, by text, while the Imaginer is away
    image=_image(),
)
class Eidolon:
    """Text-to-image search through imagined pictures."""

    imaginer = bentoml.depends(Imaginer, url=os.environ.get("EIDOLON_IMAGINER"))

    def __init__(self) -> None:
        if serve.accelerators:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # they are the Imaginer's
        from bento.worker import worker

        logs.start()
        tracing.start()
        self._worker = worker(self.imaginer.to_async)
        web.show(self._worker)

    @bentoml.on_startup
    async def watch(self) -> None:
        """Begin to watch the Imaginer."""
        self._watch = asyncio.create_task(self._worker.imagination.watch())

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Stop watching."""
        self._watch.cancel()

    @bentoml.api(route="/search")
    async def search(self, query: Query, /) -> Answer:
        """Rank the gallery's pictures for a text."""
        with refusals():
            return await self._worker.search.answer(query)

    @bentoml.api(route="/search/stream")
    async def stream(
        self, query: Query, /
    ) -> AsyncGenerator[Annotated[str, ContentType("text/event-stream")], None]:
        """The same, step by step, as server-sent events."""
        began = False
        try:
            with refusals():
                async for event, message in self._worker.search.steps(query):
                    yield f"event: {event}\ndata: {message.model_dump_json(by_alias=True)}\n\n"
                    began = True
        except Exception:
            if not began:
                raise  # the status can still say so
            log.exception("a stream broke off")
            yield f"event: error\ndata: {FAILED}\n\n"
        yield "event: done\ndata: {}\n\n"


service: Any = guarded(Eidolon, web, serve)
