"""The service: `POST /search` over a bundle, and the page, the lineage and the pictures.

It runs from its Bento alone: code, page and release.json lie in the Bento. The models lie in the
store under the tags in release.json. The settings in release.json are read when the class is
defined, because BentoML fixes them then. Heavy imports wait until a worker starts, so that a Bento
is built without them.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import bentoml

from bento.api import BundleName, Query, Result, result
from bento.guard import BodyGuard, OneMessage
from bento.pins import Pins, settings
from bento.refusals import refusals
from bento.web import Web
from components.files import sha256

log = logging.getLogger("bentoml.eidolon")
serve = settings()
web = Web(serve)


@bentoml.service(
    name="eidolon",
    workers=1,
    threads=serve.concurrent_requests,
    traffic={"timeout": serve.timeout_seconds, "max_concurrency": serve.concurrent_requests},
    http={"host": "127.0.0.1", "port": 3000},
)
class Eidolon:
    """Text-to-image search through imagined pictures."""

    def __init__(self) -> None:
        from components import config
        from components.serving.loading import load
        from components.serving.retriever import Retriever

        pins = Pins.load()
        folders = {part: bentoml.models.get(tag).path for part, tag in pins.models.items()}
        bundle = load(Path(folders["bundle"]))
        self._models: dict[str, str] = bundle.info["models"]
        self._name = BundleName(
            version=pins.version, digest=sha256(bundle.folder / "bundle.json")[:12]
        )
        self._retriever = Retriever(
            bundle,
            config.Generator.model_validate(
                bundle.info["generator"] | {"model": folders["generator"], "revision": None}
            ),
            config.Encoders.model_validate(
                bundle.info["encoders"]
                | {
                    "clip": folders["clip"],
                    "clip_revision": None,
                    "vision": folders["vision"],
                    "vision_revision": None,
                }
            ),
            serve.remembered_texts,
        )
        web.show(bundle, self._name)
        log.info("bundle %s, code %s, library %s", self._name, __file__, config.__file__)

    @bentoml.api(route="/search")
    def search(self, query: Query, /) -> Result:
        """Rank the gallery's pictures for a text."""
        with refusals():
            answer = self._retriever.search(query.query, query.k)
        return result(answer, self._name, self._models)


service: Any = Eidolon
service.add_asgi_middleware(OneMessage)
service.add_asgi_middleware(BodyGuard)
service.mount_asgi_app(web.app)
