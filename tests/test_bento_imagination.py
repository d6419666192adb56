"""Pictures of texts while the Imaginer is slow, full, failing or away: each has its reason."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from bentoml.exceptions import BentoMLException, ServiceUnavailable

from bento.imagination import DegradedError, Imagination
from bento.imaginer import Delivered
from bento.metrics import metrics
from components import config
from components.imagining.memory import Memory, Seen
from components.imagining.recipes import Order, Wanted

VECTOR = np.ones(4, dtype=np.float32).tobytes()


class Away:
    """The Imaginer's place: it draws, unless ``does`` says otherwise."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.does: Callable[[list[Order]], Awaitable[None]] | None = None
        self.alive = True

    async def draw(self, *, orders: list[Order], models: str) -> list[Delivered]:
        await asyncio.sleep(0.01)
        if self.does is not None:
            await self.does(orders)
        self.drawn += [order.address for order in orders]
        return [
            Delivered(address=o.address, png=b"png", vision=VECTOR, clip=VECTOR)
            if o.until > time.time()
            else Delivered(address=o.address, undrawn="late")
            for o in orders
        ]

    async def about(self) -> dict[str, str]:
        if not self.alive:
            raise aiohttp.ClientConnectionError("nobody is there")
        return {"dtype": "float32"}

    async def encode(self, *, png: str, models: str) -> list[float]:
        return [1.0]


async def beside(work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


def wanted(text: str, count: int = 3) -> list[Wanted]:
    return [Wanted(text, k, f"a photo of a {text}", k) for k in range(count)]


class Scene:
    """An Imagination, and the place of its Imaginer."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        from components.config import profiles

        self.remote = Away()
        self.patience = limits.get("imagine_seconds", 60)
        self.imagination = Imagination(
            self.remote,
            Memory(folder / "texts.sqlite", "encoders", 2**30),
            profiles.load("embedded").generator,
            {"generator": "generator@1", "clip": "clip@1", "vision": "vision@1"},
            config.Serve(**limits),
            beside,
            metrics(),
        )
        self._watch: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._watch = asyncio.create_task(self.imagination.watch())
        await asyncio.sleep(0.05)

    def until(self) -> float:
        return time.time() + self.patience

    async def get(self, text: str, count: int = 3) -> list[Seen]:
        found = []
        async for group in self.imagination.pictures(wanted(text, count), self.until()):
            found += [seen for _, seen in group]
        return found

    async def why(self, text: str) -> str:
        with pytest.raises(DegradedError) as error:
            await self.get(text)
        return error.value.why


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 60)

    asyncio.run(bounded())


def test_what_was_drawn_once_is_remembered(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path)
        await scene.begin()
        first = await scene.get("fox")
        again = await scene.get("fox")
        assert {s.address for s in first} == {s.address for s in again}
        assert len(scene.remote.drawn) == 3
        assert len(await scene.get("fox", count=5)) == 5
        assert len(scene.remote.drawn) == 5

    run(work)


def test_equal_texts_at_once_are_drawn_once(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path, waiting_texts=1)  # they need one place together
        await scene.begin()
        found = await asyncio.gather(*(scene.get("fox") for _ in range(10)))
        assert all(len(one) == 3 for one in found)
        assert len(scene.remote.drawn) == 3
        assert len(await scene.get("hare")) == 3  # the place is free again

    run(work)


def test_one_who_joins_late_has_as_much_time_as_any_other(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path)
        await scene.begin()
        began, gate = asyncio.Event(), asyncio.Event()

        async def wait(_: list[Order]) -> None:
            began.set()
            await gate.wait()

        scene.remote.does, scene.patience = wait, 0.3
        first = asyncio.create_task(scene.why("fox"))
        await began.wait()
        scene.patience = 30
        later = asyncio.create_task(scene.get("fox"))
        assert await first == "slow"
        gate.set()
        assert len(await later) == 3

    run(work)


def test_what_nobody_waits_for_is_given_up(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path, waiting_texts=1)
        await scene.begin()
        began, gate = asyncio.Event(), asyncio.Event()

        async def wait(_: list[Order]) -> None:
            began.set()
            await gate.wait()

        scene.remote.does = wait
        one, other = (asyncio.create_task(scene.get("fox")) for _ in range(2))
        await began.wait()
        one.cancel()
        await asyncio.sleep(0.01)
        assert await scene.why("hare") == "saturated"  # the other still waits
        other.cancel()
        await asyncio.gather(one, other, return_exceptions=True)
        await asyncio.sleep(0.01)
        scene.remote.does = None
        assert len(await scene.get("hare")) == 3
        gate.set()
        await asyncio.sleep(0.01)
        assert len(scene.remote.drawn) == 3
        assert len(await scene.get("fox")) == 3

    run(work)


def test_where_one_is_drawn_at_a_time_each_arrives_by_itself(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path, drawing_batch=1)
        await scene.begin()
        groups = [
            group async for group in scene.imagination.pictures(wanted("fox", 4), scene.until())
        ]
        assert [len(group) for group in groups] == [1, 1, 1, 1]

    run(work)


def test_one_text_too_many_is_told_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path, waiting_texts=2)
        await scene.begin()
        gate = asyncio.Event()

        async def wait(_: list[Order]) -> None:
            await gate.wait()

        await scene.get("known")
        scene.remote.does = wait
        waiting = [asyncio.create_task(scene.get(f"fox {i}")) for i in range(2)]
        await asyncio.sleep(0.01)
        assert await scene.why("fox 2") == "saturated"
        assert len(await scene.get("known")) == 3  # what is remembered waits for nobody
        gate.set()
        assert [len(one) for one in await asyncio.gather(*waiting)] == [3, 3]
        assert len(await scene.get("fox 2")) == 3

    run(work)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ServiceUnavailable("full"), "saturated"),
        (BentoMLException("broken"), "failed"),
        (aiohttp.ServerDisconnectedError(), "unavailable"),
        (ConnectionResetError(), "unavailable"),
    ],
)
def test_each_failure_has_its_reason(tmp_path: Path, error: Exception, why: str) -> None:
    async def work() -> None:
        scene = Scene(tmp_path)
        await scene.begin()

        async def fail(_: list[Order]) -> None:
            raise error

        scene.remote.does = fail
        assert await scene.why("fox") == why
        scene.remote.does = None
        if why == "unavailable":
            await asyncio.sleep(0.1)  # until it has been asked again
        assert len(await scene.get("fox")) == 3

    run(work)


def test_slow_drawing_is_given_up_and_not_drawn_late(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path, imagine_seconds=0.2)
        await scene.begin()

        async def sleep(_: list[Order]) -> None:
            await asyncio.sleep(5)

        scene.remote.does = sleep
        began = time.monotonic()
        assert await scene.why("fox") == "slow"
        assert time.monotonic() - began < 3
        assert scene.remote.drawn == []

    run(work)


def test_while_it_is_away_nobody_waits_and_it_is_found_again(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path)
        assert await scene.why("fox") == "unavailable"  # it has not said how it draws
        await scene.begin()
        assert scene.imagination.up
        await scene.get("fox")

        async def die(_: list[Order]) -> None:
            scene.remote.alive = False
            raise aiohttp.ServerDisconnectedError

        scene.remote.does = die
        assert await scene.why("hare") == "unavailable"
        await asyncio.sleep(0.05)
        began = time.monotonic()
        assert await scene.why("hare") == "unavailable"
        assert time.monotonic() - began < 0.5
        assert len(await scene.get("fox")) == 3  # what is remembered needs no Imaginer
        scene.remote.alive, scene.remote.does = True, None
        await asyncio.sleep(2.5)
        assert scene.imagination.up
        assert len(await scene.get("hare")) == 3

    run(work)


def test_some_pictures_that_came_are_given_before_the_reason(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path, drawing_batch=1)
        await scene.begin()

        async def fail_for_one(orders: list[Order]) -> None:
            if orders[0].seed == 1:
                raise BentoMLException("broken")

        scene.remote.does = fail_for_one
        found = []
        with pytest.raises(DegradedError, match="failed"):
            async for group in scene.imagination.pictures(wanted("fox", 4), scene.until()):
                found += group
        assert sorted(want.k for want, _ in found) == [0, 2, 3]

    run(work)


def test_an_imaginer_of_other_models_counts_as_away(tmp_path: Path) -> None:
    async def work() -> None:
        scene = Scene(tmp_path)
        await scene.begin()

        async def other(orders: list[Order]) -> None:
            raise BentoMLException("it has other models", error_code=HTTPStatus.CONFLICT)

        scene.remote.does = other
        assert await scene.why("a red star") == "unavailable"
        scene.remote.does = None
        assert len(await scene.get("a red star")) == 3

    run(work)
