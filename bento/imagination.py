"""Gets the imagined pictures of a text: from the memory on disk, or from the Imaginer.

Looking up never waits for drawing. Equal pictures that are asked for at once are drawn once. Only
so many texts may wait to be drawn; a further one, and any while the Imaginer is away, is answered
without. What nobody waits for any more is not drawn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import aiohttp
import numpy as np
from bentoml.exceptions import BentoMLException, ServiceUnavailable

from bento.imaginer import Delivered, OtherModelsError
from bento.metrics import Metrics
from bento.parts import all_of
from bento.tracing import span
from components import config
from components.api.messages import Degraded
from components.imagining.memory import Drawn, Memory, Seen
from components.imagining.recipes import Order, Wanted, address_of, recipe_of

log = logging.getLogger("bentoml.eidolon")

_RETRY = 2.0  # seconds between questions whether the Imaginer is back
_WATCH = 10.0  # seconds between such questions while it is there, and until one counts as failed

_REFUSED: dict[int, Degraded] = {429: "saturated", OtherModelsError.error_code: "unavailable"}

T = TypeVar("T")
Compute = Callable[..., Awaitable[Any]]


class Remote(Protocol):
    """The Imaginer, as BentoML's client reaches it."""

    async def draw(self, *, orders: list[Order], models: str) -> list[Delivered]: ...
    async def about(self) -> dict[str, str]: ...
    async def encode(self, *, png: str, models: str) -> list[float]: ...


class DegradedError(Exception):
    """No picture can be had now. ``why`` is the reason that the answer gives."""

    def __init__(self, why: Degraded) -> None:
        super().__init__(why)
        self.why = why


@dataclass(eq=False)
class _Drawing:
    """Pictures that are being drawn together, and how many searches are ``waiting`` for them."""

    addresses: list[str]
    task: asyncio.Task[dict[str, Seen]]
    waiting: int = 0


class Imagination:
    """The pictures of texts, for all searches of one process."""

    def __init__(
        self,
        remote: Remote,
        memory: Memory,
        generator: config.Generator,
        models: Mapping[str, str],
        serve: config.Serve,
        compute: Compute,
        metrics: Metrics,
    ) -> None:
        """``models`` are the fingerprints in the bundle. ``compute`` runs blocking work
        beside the event loop."""
        self._remote, self._memory, self._serve = remote, memory, serve
        self._compute, self._metrics = compute, metrics
        self._identity: dict[str, str | int | float] = {
            "model": models["generator"],
            "steps": generator.steps,
            "guidance": generator.guidance,
            "size": generator.size,
        }
        self._models = all_of(models)
        self._most = -(-serve.waiting_texts // serve.api_workers)
        self._waiting = 0
        self._drawing: dict[str, _Drawing] = {}
        self._up = False
        self._lost_now = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether the Imaginer answers."""
        return self._up

    async def pictures(
        self, wanted: Sequence[Wanted], until: float
    ) -> AsyncIterator[list[tuple[Wanted, Seen]]]:
        """The pictures in groups, as they arrive: first those that are remembered. Nobody waits for
        them after the time ``until``, in seconds since 1970.

        Raises :class:`DegradedError` when some cannot be had.
        """
        of = dict(zip(self._addresses(wanted), wanted, strict=True))
        found = await self._compute(self._memory.get, list(of))
        if found:
            yield [(of[address], one) for address, one in found.items()]
        missing = [address for address in of if address not in found]
        if not missing:
            self._metrics.found("memory")
            return
        self._metrics.found("shared" if self._drawing.keys() >= set(missing) else "drawn")
        async for arrived in self._arriving({a: of[a] for a in missing}, until):
            yield [(of[address], one) for address, one in arrived.items() if address in of]

    def _addresses(self, wanted: Sequence[Wanted]) -> list[str]:
        """The addresses of pictures. Raises :class:`DegradedError` before the Imaginer has said
        how it draws."""
        if "dtype" not in self._identity:
            raise DegradedError("unavailable")
        return [address_of(recipe_of(w.prompt, w.seed, self._identity)) for w in wanted]

    def _take(self) -> None:
        """Take one of the places of texts that wait. Raises :class:`DegradedError` if there is
        none."""
        if not self._up:
            raise DegradedError("unavailable")
        if self._waiting >= self._most:
            raise DegradedError("saturated")
        self._waiting += 1
        self._metrics.waiting(self._waiting)

    def _release(self, _: object = None) -> None:
        self._waiting -= 1
        self._metrics.waiting(self._waiting)

    async def _arriving(
        self, missing: dict[str, Wanted], until: float
    ) -> AsyncIterator[dict[str, Seen]]:
        """What others have ordered already is waited for. The rest is ordered, and needs a place.

        Raises :class:`DegradedError` when some cannot be had, after all others have arrived.
        """
        joined = [address for address in missing if address in self._drawing]
        failed: list[DegradedError] = []
        try:
            self._begin({a: want for a, want in missing.items() if a not in joined}, until)
        except DegradedError as error:
            failed.append(error)
        arrived: set[str] = set()
        async for found in self._waited({self._drawing[a] for a in missing if a in self._drawing}):
            if isinstance(found, DegradedError):
                failed.append(found)
            else:
                arrived.update(found)
                yield found
        again = {address: missing[address] for address in joined if address not in arrived}
        if again and time.time() < until and any(error.why == "slow" for error in failed):
            # it was too slow for those who had ordered it, and there is time left here
            failed = [error for error in failed if error.why != "slow"]
            async for more in self._arriving(again, until):
                yield more
        if failed:
            raise failed[0]

    def _begin(self, wanted: dict[str, Wanted], until: float) -> None:
        """Begin to draw. Raises :class:`DegradedError` if there is no place."""
        if not wanted:
            return
        self._take()
        orders = [
            Order(prompt=want.prompt, seed=want.seed, address=address, until=until)
            for address, want in wanted.items()
        ]
        size, tasks = self._serve.drawing_batch, []
        for i in range(0, len(orders), size):
            group = orders[i : i + size]
            task = asyncio.create_task(self._draw(group))
            drawing = _Drawing([order.address for order in group], task)
            self._drawing.update(dict.fromkeys(drawing.addresses, drawing))
            task.add_done_callback(partial(self._forget, drawing))
            tasks.append(task)
        asyncio.gather(*tasks, return_exceptions=True).add_done_callback(self._release)

    async def _waited(
        self, drawings: set[_Drawing]
    ) -> AsyncIterator[dict[str, Seen] | DegradedError]:
        """What becomes of the drawings, in the order in which they end. One for which nobody waits
        any more is given up."""
        for one in drawings:
            one.waiting += 1
        try:
            # shielded: others may wait for the same pictures
            for ended in asyncio.as_completed([asyncio.shield(one.task) for one in drawings]):
                try:
                    yield await ended
                except DegradedError as error:
                    yield error
        finally:
            for one in drawings:
                one.waiting -= 1
                if not one.waiting:
                    self._forget(one)
                    one.task.cancel()

    def _forget(self, drawing: _Drawing, _: object = None) -> None:
        for address in drawing.addresses:
            if self._drawing.get(address) is drawing:
                del self._drawing[address]

    async def _draw(self, orders: list[Order]) -> dict[str, Seen]:
        """What the Imaginer draws, which is then remembered."""
        with span("draw", pictures=len(orders)):
            found = await self._call(
                self._remote.draw(orders=orders, models=self._models), orders[0].until - time.time()
            )
        drawn = [_drawn(one) for one in found if not one.undrawn]
        await self._compute(self._memory.put, drawn)
        if len(drawn) < len(found):
            late = any(one.undrawn == "late" for one in found)
            raise DegradedError("slow" if late else "failed")
        return {one.address: one for one in drawn}

    async def encode(self, png: str) -> np.ndarray:
        """The vector (d_vision,) of a picture, given as PNG in base64. Raises
        :class:`DegradedError`."""
        self._take()
        try:
            values = await self._call(
                self._remote.encode(png=png, models=self._models), self._serve.imagine_seconds
            )
        finally:
            self._release()
        return np.array(values, dtype=np.float32)

    async def _call(self, answer: Awaitable[T], patience: float) -> T:
        """What the Imaginer answers within ``patience`` seconds. Raises :class:`DegradedError`."""
        try:
            return await asyncio.wait_for(answer, patience)
        except TimeoutError:
            raise DegradedError("slow") from None
        except ServiceUnavailable:
            raise DegradedError("saturated") from None
        except (aiohttp.ClientError, OSError) as error:
            self._lost(error)
            raise DegradedError("unavailable") from None
        except BentoMLException as error:
            log.error("the Imaginer failed: %s", error)
            raise DegradedError(_REFUSED.get(error.error_code, "failed")) from None

    async def watch(self) -> None:
        """Ask for ever whether the Imaginer is there. Cancelling it ends it."""
        while True:
            try:
                about = await asyncio.wait_for(self._remote.about(), _WATCH)
            except Exception as error:  # whatever it is, the next question may be answered
                self._lost(error)
            else:
                self._identity |= about
                if not self._up:
                    log.info("the Imaginer is there")
                self._up = True
            self._metrics.imaginer(self._up)
            self._lost_now.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost_now.wait(), _WATCH if self._up else _RETRY)

    def _lost(self, error: Exception) -> None:
        if self._up:
            log.error("the Imaginer is away: %s", str(error) or type(error).__name__)
            self._lost_now.set()
        self._up = False


def _drawn(one: Delivered) -> Drawn:
    vision, clip = (np.frombuffer(part, dtype=np.float32) for part in (one.vision, one.clip))
    return Drawn(one.address, vision, clip, one.contrast, one.sharpness, one.refused, png=one.png)
