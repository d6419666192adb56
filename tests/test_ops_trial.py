"""A challenger on trial, through the proxy: small servers stand for both Bentos."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from components.config import Canary
from components.files import write_json
from components.ports import free_port
from ops.trial import place_of
from tests.fronting import Front, Handler, bento


def answering(version: int, ids: str = "abcdefghij", seconds: float = 0.0) -> Handler:
    """A Bento that answers every search with these hits."""

    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(seconds)
        given = request.headers.get("X-Request-ID", f"id-{version}")
        told = {"hits": [{"id": one} for one in ids], "degraded": None, "confidence": 0.5}
        return web.json_response(
            told | {"bundle": version, "given": given}, headers={"X-Request-ID": given}
        )

    return handler


async def broken(request: web.Request) -> web.StreamResponse:
    """A Bento that fails."""
    return web.json_response({"error": "no"}, status=500)


class Scene(Front):
    """A proxy with a trial."""

    def put_on_trial(self, port: int, mode: str, share: float = 1.0, least: int = 5) -> None:
        trial: dict[str, Any] = {"version": 2, "bento": "eidolon:2", "place": "b", "port": port}
        limits = Canary(min_requests=least, max_latency_ratio=1000).model_dump()
        trial |= {"mode": mode, "share": share, "since": f"{mode}{port}", "withdrawn": None}
        write_json(self.file, trial | {"limits": limits})

    @property
    def file(self) -> Path:
        return self.pointer.with_name("canary.json")

    def records(self) -> list[dict[str, Any]]:
        file = self.pointer.parent / "canary" / "2.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def search(self, client: aiohttp.ClientSession, **headers: str) -> dict[str, Any]:
        query = {"query": "a secret wish"}
        async with client.post(f"{self.url}/search", json=query, headers=headers) as reply:
            answer: dict[str, Any] = await reply.json()
            return answer | {"status": reply.status}

    async def recorded(self, count: int) -> list[dict[str, Any]]:
        for _ in range(500):
            if len(self.records()) >= count:
                return self.records()
            await asyncio.sleep(0.01)
        raise AssertionError(f"{self.records()} are fewer than {count}")

    async def withdrawn(self) -> str:
        for _ in range(500):
            if why := json.loads(self.file.read_text())["withdrawn"]:
                return str(why)
            await asyncio.sleep(0.01)
        raise AssertionError("it is not withdrawn")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_shadow_is_asked_after_the_caller_has_the_answer(scene: Scene) -> None:
    async def play() -> None:
        async with (
            bento(answering(1)) as live,
            bento(answering(2, "abcdevwxyz", seconds=0.5)) as other,
            scene.client() as client,
        ):
            scene.point(live)
            scene.put_on_trial(other, "shadow")
            answer = await asyncio.wait_for(scene.search(client), 0.4)
            assert answer["bundle"] == 1
            (record,) = await scene.recorded(1)
            assert record["overlap"] == 0.5 and record["answered_by"] == "champion"
            assert record["request"] == "id-1"
            assert record["champion"]["status"] == record["challenger"]["status"] == 200
            assert record["challenger"]["ms"] > 400 > record["champion"]["ms"]
            assert "secret" not in json.dumps(record)
            assert not +scene.proxy.in_flight

    asyncio.run(play())


def test_a_caller_is_always_answered_by_the_same_one(scene: Scene) -> None:
    async def play() -> None:
        async with (
            bento(answering(1)) as live,
            bento(answering(2)) as other,
            scene.client() as client,
        ):
            scene.point(live)
            scene.put_on_trial(other, "answer", share=0.5, least=10_000)
            by = {}
            for number in range(30):
                key = f"key-{number}-0123456789"
                found = {(await scene.search(client, **{"X-API-Key": key}))["bundle"]}
                found |= {(await scene.search(client, **{"X-API-Key": key}))["bundle"]}
                async with client.get(f"{scene.url}/images/x", headers={"X-API-Key": key}) as reply:
                    found |= {(await reply.json())["bundle"]}
                by[key] = found
            assert all(len(found) == 1 for found in by.values())
            assert {1, 2} == set().union(*by.values())
            for record in await scene.recorded(1):
                assert record["answered_by"] == "challenger"
            assert (await (await client.get(f"{scene.url}/health")).json())["bundle"] == 1

    asyncio.run(play())


@pytest.mark.parametrize("mode", ["shadow", "answer"])
@pytest.mark.parametrize(
    ("handler", "why"), [(broken, "errors"), (answering(2, "vwxyz"), "overlap")]
)
def test_a_bad_one_is_withdrawn_by_itself(
    scene: Scene, mode: str, handler: Callable[[web.Request], Awaitable[Any]], why: str
) -> None:
    async def play() -> None:
        async with bento(answering(1)) as live, bento(handler) as other, scene.client() as client:
            scene.point(live)
            scene.put_on_trial(other, mode)
            for number in range(5):
                await scene.search(client)
                await scene.recorded(number + 1)
            assert why in await scene.withdrawn()
            for _ in range(5):
                assert (await scene.search(client))["bundle"] == 1
            await asyncio.sleep(0.1)
            assert len(scene.records()) == 5

    asyncio.run(play())


def test_a_challenger_that_is_away_costs_no_caller_anything(scene: Scene) -> None:
    async def play() -> None:
        async with bento(answering(1)) as live, scene.client() as client:
            scene.point(live)
            scene.put_on_trial(free_port(), "answer")
            for number in range(5):
                assert (await scene.search(client))["bundle"] == 1
                await scene.recorded(number + 1)
            assert "errors" in await scene.withdrawn()

    asyncio.run(play())


def test_a_challenger_that_became_live_is_on_trial_no_more(scene: Scene) -> None:
    async def play() -> None:
        async with bento(answering(2)) as other, scene.client() as client:
            scene.point(other)
            scene.put_on_trial(other, "shadow")
            assert (await scene.search(client))["bundle"] == 2
            await asyncio.sleep(0.1)
            assert scene.records() == []

    asyncio.run(play())


def test_the_share_of_callers_is_the_share(scene: Scene) -> None:
    places = [place_of(f"10.0.{i // 250}.{i % 250}", "7") for i in range(5000)]
    assert abs(sum(place < 0.1 for place in places) / 5000 - 0.1) < 0.02
    assert places != [place_of(f"10.0.{i // 250}.{i % 250}", "8") for i in range(5000)]
