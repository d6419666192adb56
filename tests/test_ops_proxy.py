"""The proxy in front of the endpoint: what it passes on, and what becomes of requests when a Bento
ends, breaks off or is exchanged. The Bentos are small servers here; tests/test_ops_swap.py has real
ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from components.monitoring import journal
from components.ports import free_port
from ops import proxy as module
from tests.fronting import Front, bento
from tests.requestlines import logged

PIECE = 64 * 1024


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Front:
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    return Front(tmp_path)


async def mirror(request: web.Request) -> web.StreamResponse:
    """What arrived."""
    headers = [[k, v] for k, v in request.headers.items()]
    body = await request.text()
    seen = {"method": request.method, "path": request.raw_path, "headers": headers, "body": body}
    return web.json_response(seen, headers=[("X-Twice", "1"), ("X-Twice", "2")])


def headers_in(seen: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in seen["headers"]}


def test_a_request_and_its_answer_pass_as_they_are(front: Front) -> None:
    async def scene() -> None:
        async with bento(mirror) as port, front.client() as client:
            front.point(port)
            headers = {
                "Host": "pictures.example",
                "X-API-Key": "secret-0123456789",
                "X-Forwarded-For": "10.1.2.3",
                "Connection": "X-Mine",
                "X-Mine": "for the proxy alone",
            }
            path = "/images/a%2Fb%20c/../d.png?x=%2B&y=1"
            reply = await client.post(front.url, data=b"body", headers=headers)
            seen = headers_in(json.loads(await reply.text()))
            assert seen["host"] == "pictures.example"
            assert seen["x-api-key"] == "secret-0123456789"
            assert seen["x-forwarded-for"] == "10.1.2.3, 127.0.0.1"
            assert "x-mine" not in seen
            assert reply.headers.getall("X-Twice") == ["1", "2"]
            assert "Server" not in reply.headers
            got = await front.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answered = json.loads(got.partition(b"\r\n\r\n")[2])
            assert (answered["method"], answered["path"]) == ("GET", path)
            assert set(headers_in(answered)) == {"host", "x-forwarded-for", "connection"}
            head = await client.head(front.url)
            assert head.status == 200 and int(head.headers["Content-Length"]) > 0

    asyncio.run(scene())


def test_a_long_list_of_proxies_does_not_grow(front: Front) -> None:
    async def scene() -> None:
        async with bento(mirror) as port, front.client() as client:
            front.point(port)
            many = ", ".join(f"10.0.0.{i}" for i in range(200))
            reply = await client.get(front.url, headers={"X-Forwarded-For": many})
            hops = headers_in(await reply.json())["x-forwarded-for"].split(", ")
            assert hops == [*(f"10.0.0.{i}" for i in range(193, 200)), "127.0.0.1"]

    asyncio.run(scene())


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/x", "//127.0.0.1:9/x", "*", "x@y"])
def test_a_request_never_leads_elsewhere(front: Front, target: str) -> None:
    async def scene() -> None:
        async with bento(mirror) as port, front.client():
            front.point(port)
            text = f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            got = await front.raw(text)
            status = got.split()[1]
            assert status in (b"400", b"404") or b'"method": "OPTIONS"' in got

    asyncio.run(scene())


def test_events_arrive_one_by_one(front: Front) -> None:
    async def scene() -> None:
        go_on = asyncio.Event()

        async def stream(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
            await go_on.wait()
            await response.write(b"data: 2\n\n")
            return response

        async with bento(stream) as port, front.client() as client:
            front.point(port)
            async with client.post(front.url, data=b"{}") as reply:
                first = await asyncio.wait_for(reply.content.readuntil(b"\n\n"), 5)
                assert front.proxy.in_flight[port] == 1
                go_on.set()
                assert (first, await reply.content.read()) == (b"data: 1\n\n", b"data: 2\n\n")
        assert front.proxy.in_flight[port] == 0

    asyncio.run(scene())


def test_an_upload_passes_before_it_is_whole(front: Front) -> None:
    async def scene() -> None:
        arrived = asyncio.Event()

        async def take(request: web.Request) -> web.StreamResponse:
            size = 0
            async for part in request.content.iter_any():
                size += len(part)
                arrived.set()
            return web.json_response(size)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * PIECE
            await asyncio.wait_for(arrived.wait(), 5)
            for _ in range(100):
                yield b"x" * PIECE

        async with bento(take) as port, front.client() as client:
            front.point(port)
            reply = await client.post(front.url, data=pieces())
            assert await reply.json() == 101 * PIECE

    asyncio.run(scene())


def test_a_refusal_before_the_body_is_read_reaches_the_caller(front: Front) -> None:
    async def scene() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            body = b'{"error": "too large"}'
            lines = ["HTTP/1.1 413 X", "Content-Type: application/json", "Content-Length: 22"]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
            writer.close()

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(400):
                yield b"x" * PIECE

        port = free_port()
        async with await asyncio.start_server(refuse, "127.0.0.1", port), front.client() as client:
            front.point(port)
            for _ in range(5):
                reply = await client.post(front.url, data=pieces())
                assert reply.status == 413, await reply.text()
                assert await reply.json() == {"error": "too large"}

    asyncio.run(scene())


def test_a_caller_who_leaves_ends_the_request_at_the_bento(front: Front) -> None:
    async def scene() -> None:
        left = asyncio.Event()

        async def wait(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"x")
            try:
                await asyncio.sleep(60)
            finally:
                left.set()
            return response

        async with bento(wait) as port, front.client() as client:
            front.point(port)
            async with client.get(front.url) as reply:
                await reply.content.readexactly(1)
                reply.close()
            await asyncio.wait_for(left.wait(), 5)
            await asyncio.sleep(0.1)
            assert front.proxy.in_flight[port] == 0

    asyncio.run(scene())


def test_requests_wait_for_a_bento_that_starts_again(front: Front) -> None:
    async def scene() -> None:
        port = free_port()
        front.point(port)
        async with front.client() as client:
            waiting = [asyncio.create_task(client.post(front.url, data=b"x")) for _ in range(3)]
            await asyncio.sleep(0.3)
            async with bento(mirror, port):
                for one in waiting:
                    assert (await (await one).json())["body"] == "x"

    asyncio.run(scene())


def test_requests_that_wait_go_where_the_pointer_moves(front: Front) -> None:
    async def scene() -> None:
        front.point(free_port())
        async with front.client() as client, bento(mirror) as port:
            waiting = asyncio.create_task(client.post(front.url, data=b"x"))
            await asyncio.sleep(0.3)
            front.point(port)
            assert (await waiting).status == 200

    asyncio.run(scene())


def test_a_bento_that_stays_away_is_one_sentence(front: Front) -> None:
    async def scene() -> None:
        async with front.client() as client:
            nothing = await client.get(front.url)
            front.point(free_port())
            away = await client.get(front.url)
            for reply in (nothing, away):
                assert reply.status == 503 and reply.headers["Retry-After"] == "5"
            assert "nothing is deployed" in (await nothing.json())["error"]
            assert "starting" in (await away.json())["error"]

    asyncio.run(scene())


@pytest.mark.parametrize(("method", "status"), [("POST", 502), ("GET", 503)])
def test_only_what_changes_nothing_is_sent_twice(front: Front, method: str, status: int) -> None:
    async def scene() -> None:
        arrived = 0

        async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal arrived
            await reader.readuntil(b"\r\n\r\n")
            arrived += 1
            writer.close()

        port = free_port()
        async with await asyncio.start_server(drop, "127.0.0.1", port), front.client() as client:
            front.point(port)
            body = b"x" if method == "POST" else None
            reply = await client.request(method, front.url, data=body)
            assert reply.status == status
            assert (arrived == 1) is (method == "POST")

    asyncio.run(scene())


def test_an_answer_that_breaks_off_is_seen_to_be_broken(front: Front) -> None:
    async def scene() -> None:
        async def half(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
            assert request.transport is not None
            request.transport.abort()
            return response

        async with bento(half) as port, front.client() as client:
            front.point(port)
            with pytest.raises(aiohttp.ClientError):
                await (await client.get(front.url)).read()

    asyncio.run(scene())


def test_a_move_of_the_pointer_loses_nothing_under_load(front: Front) -> None:
    """Each answer is of one of both, and after the move of the new one."""

    async def scene() -> None:
        async def slowly(request: web.Request) -> web.StreamResponse:
            await asyncio.sleep(0.02)
            return web.Response(text=str(request.url.port or request.transport))

        async with bento(slowly) as one, bento(slowly) as two, front.client() as client:
            front.point(one)
            done: list[int] = []

            async def ask() -> None:
                for _ in range(100):
                    async with client.post(front.url, data=b"x") as reply:
                        done.append(reply.status)

            asking = [asyncio.create_task(ask()) for _ in range(10)]
            for port in (two, one, two, one, two):
                await asyncio.sleep(0.1)
                front.point(port)
            await asyncio.gather(*asking)
            assert done == [200] * 1000
            assert not +front.proxy.in_flight

    asyncio.run(scene())


def test_the_status_tells_where_requests_go(front: Front, tmp_path: Path) -> None:
    async def scene() -> None:
        socket = tmp_path / "s.sock"
        running = asyncio.create_task(module.run(front.proxy, front.port, socket))
        while not socket.exists():
            await asyncio.sleep(0.01)
        assert socket.stat().st_mode & 0o077 == 0
        front.point(4321)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session:
            told = await (await session.get("http://proxy/")).json()
        assert told["pointer"]["port"] == 4321 and told["in_flight"] == {}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scene())


def test_a_refusal_is_logged_as_a_bento_logs_a_request(front: Front, tmp_path: Path) -> None:
    async def scene() -> None:
        async with front.client() as client:
            for path in ("/some/where/search", "/images/secret", "/readyz"):
                reply = await client.post(f"{front.url}{path}", headers={"X-Request-ID": "mine"})
                assert reply.headers["X-Request-ID"] == "mine"
            async with bento(mirror) as port:
                front.point(port)
                await client.post(f"{front.url}/search")

    with logged() as lines:
        asyncio.run(scene())
    file = tmp_path / "endpoint.log"
    file.write_text(lines.getvalue())
    written = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["route"] for line in written] == ["/search", "other", "/readyz"]
    assert {(line["status"], line["request"], line["level"]) for line in written} == {
        (503, "mine", "error")
    }
    today = datetime.now(UTC).date()
    assert list(journal.statuses([file], today)) == [(today, 503)]
