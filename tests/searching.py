"""Answers of the API from a bundle, in this process: the service's own search, without HTTP."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bento import imaginer as messages
from bento.imagination import Compute, Imagination
from bento.imaginer import Delivered
from bento.journal import Journal
from bento.metrics import metrics
from bento.search import Search, Served
from bento.worker import Worker
from components import config
from components.api.messages import BundleName, Query
from components.files import sha256
from components.images.decoding import decode
from components.imagining.memory import Memory
from components.imagining.recipes import Order
from components.serving.imaginer import Imaginer
from components.serving.loading import load
from components.serving.retriever import Retriever


class _Remote:
    """The Imaginer, reached by a call. ``spoils`` may raise instead, or change what it delivers."""

    def __init__(self, params: config.Params) -> None:
        self._work = Imaginer(params.generator, params.encoders)
        self.spoils: Callable[[list[Delivered]], list[Delivered]] = list

    async def draw(self, *, orders: list[Order], models: str) -> list[Delivered]:
        found = self._work.draw(orders)
        return self.spoils([messages._delivered(one) for one in found])

    async def about(self) -> dict[str, str]:
        return {"dtype": "float32"}

    async def encode(self, *, png: str, models: str) -> list[float]:
        return self._work.encode(decode(base64.b64decode(png))).tolist()


async def _beside(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


class Searching:
    """Searches the bundle in ``folder`` as version 1 of the registry. ``encode`` runs what needs
    the text encoder."""

    def __init__(self, folder: Path, params: config.Params, encode: Compute = _beside) -> None:
        bundle = load(folder)
        models = bundle.info["models"]
        digest = sha256(folder / "bundle.json")[:12]
        served = Served(BundleName(version=1, digest=digest), models)
        retriever, journal = Retriever(bundle, params.encoders), Journal(folder, 0)
        memory = Memory(Path(tempfile.mkdtemp()) / "texts.sqlite", "encoders", 2**30)
        generator, self.remote = params.generator, _Remote(params)
        imagination = Imagination(
            self.remote, memory, generator, models, params.serve, _beside, metrics()
        )
        search = Search(
            retriever,
            imagination,
            generator,
            params.validation,
            served,
            journal,
            params.serve,
            _beside,
            encode,
        )
        beside: Any = _beside
        self.worker = Worker(
            *(served, bundle, retriever, imagination, memory, search, journal),
            *(beside, beside, beside),
        )

    def __call__(self, query: str, k: int = 3, **options: Any) -> dict[str, Any]:
        """What the API answers, as JSON."""

        async def work() -> dict[str, Any]:
            watching = asyncio.create_task(self.worker.imagination.watch())
            await asyncio.sleep(0.01)
            try:
                answer = await self.worker.search.answer(Query(query=query, k=k, **options))
            finally:
                watching.cancel()
            return answer.model_dump(mode="json", by_alias=True)

        return asyncio.run(work())
