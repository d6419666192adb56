"""The service that owns what is heavy: the generator and the encoders of pictures.

It draws for all callers of the API together, in batches of any texts' pictures. The API reaches it
through a socket of the Bento, and answers by text alone while it is away. It may also be served
alone, on another machine: the API finds it at the address in `EIDOLON_IMAGINER`, and sends it JSON.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException, ServiceUnavailable
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.routing import Route

from bento import logs, tracing
from bento.batching import Batching, FullError
from bento.metrics import metrics, scraped
from bento.pins import settings
from components.api.messages import MAX_IMAGES
from components.imagining.recipes import Order

serve = settings()
STEADY = {"max_requests": 1_000_000_000, "max_age": 1e9}
"""How long the API keeps its connection. BentoML would renew it after 100 requests, and drop the
calls in flight."""

QUIET: Any = {
    "metrics": {"enabled": False},  # our own are in bento.metrics
    "logging": {"access": {"enabled": False}},  # ours is in bento.logs
    "tracing": tracing.settings(os.environ),
}
"""What BentoML's part of both services does not do."""

IDLE_LOOKS = 4
"""How often, within the time after which idle models rest, the service looks."""

WAITING = 2 * MAX_IMAGES * serve.waiting_texts  # pictures; the API admits fewer


class OtherModelsError(BentoMLException):
    """The caller's bundle was made with other models than this service draws with."""

    error_code = HTTPStatus.CONFLICT


class Delivered(BaseModel):
    """What became of an order: the message form of :class:`components.imagining.memory.Drawn`, with
    vectors as bytes of float32; or ``undrawn``, which is "late" or "failed"."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    address: str
    png: bytes = b""
    vision: bytes = b""
    clip: bytes = b""
    contrast: float = 0.0
    sharpness: float = 0.0
    refused: str = ""
    undrawn: str = ""


@bentoml.service(
    name="eidolon-imaginer",
    workers=serve.imaginer_workers,
    resources={"gpu": serve.imaginer_workers} if serve.accelerators else {},
    traffic={
        "timeout": serve.timeout_seconds,
        "max_concurrency": WAITING,
    },
    runner_connection=STEADY,
    **QUIET,
)
class Imaginer:
    """Draws pictures of texts, and encodes pictures."""

    def __init__(self) -> None:
        if serve.accelerators:
            _take_one_accelerator()
        from bento.parts import parts
        from components.models.checkpoints import device, precision
        from components.serving.imaginer import Imaginer as Work

        if device().type == "cpu":
            os.nice(10)  # the API goes first; drawing takes the time that is left
        found = parts()
        self._models = found.models
        self._dtype = str(precision()).removeprefix("torch.")
        logs.start()
        tracing.start()
        threshold = found.info["content_threshold"]
        self._work = Work(found.generator, found.encoders, threshold, serve.idle_seconds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="draw")
        self._batching = Batching(self._drawn, serve.drawing_batch, WAITING)

    @bentoml.on_startup
    async def watch(self) -> None:
        """Begin to look whether the models are idle."""
        if serve.idle_seconds is not None:
            self._watch = asyncio.create_task(self._rest(serve.idle_seconds / IDLE_LOOKS))

    async def _rest(self, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            await asyncio.to_thread(self._work.rest)

    @bentoml.api
    async def draw(self, orders: list[Order], models: str) -> list[Delivered]:
        """Draw pictures, in one batch with those of other callers. ``models`` are those of the
        caller's bundle: while a new version is brought up, a caller may reach the Imaginer of
        another one."""
        self._check(models)
        try:
            return await self._batching(orders)
        except FullError:
            raise ServiceUnavailable("too many pictures wait to be drawn") from None

    async def _drawn(self, orders: Sequence[Order]) -> list[Delivered]:
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, self._work.draw, orders)
        metrics().drew(len(orders), time.perf_counter() - began)
        return [_delivered(one) for one in found]

    @bentoml.api
    def encode(self, png: str, models: str) -> list[float]:
        """The vector of a picture, given as PNG in base64."""
        from components.images.decoding import decode

        self._check(models)
        vector = self._work.encode(decode(base64.b64decode(png)))
        return [float(value) for value in vector]

    def _check(self, models: str) -> None:
        if models != self._models:
            raise OtherModelsError(f"this Imaginer has {self._models}, and not {models}")

    @bentoml.api
    async def about(self) -> dict[str, str]:
        """The precision in which this service draws. It answers while others are served."""
        return {"dtype": self._dtype}


def _measured(service: Any) -> Any:
    """``service`` with its metrics, for Prometheus where it is served alone."""
    service.mount_asgi_app(Starlette(routes=[Route("/metrics", scraped)]))
    return service


service: Any = _measured(Imaginer)


def _delivered(one: Any) -> Delivered:
    from components.serving.imaginer import Undrawn

    if isinstance(one, Undrawn):
        return Delivered(address=one.address, undrawn="late" if one.late else "failed")
    return Delivered(
        address=one.address,
        png=one.png,
        vision=one.vision.tobytes(),
        clip=one.clip.tobytes(),
        contrast=one.contrast,
        sharpness=one.sharpness,
        refused=one.refused,
    )


def _take_one_accelerator() -> None:
    """Each worker sees one of the accelerators that BentoML gave to the service."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    index = int(bentoml.server_context.worker_index or 1) - 1
    os.environ["CUDA_VISIBLE_DEVICES"] = given[index % len(given)]
