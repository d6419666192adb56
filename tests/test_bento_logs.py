"""The line of each request, and the id that finds it."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message

from bento import logs
from bento.logs import HEADER, RequestLog, noted
from tests.requestlines import logged

SECRET = "what+nobody+may+read"


class Counts:
    """Takes the place of the metrics, which need a worker of BentoML."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int]] = []

    def answered(self, route: str, status: int) -> None:
        self.answers.append((route, status))


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    found = Counts()
    monkeypatch.setattr(logs, "metrics", lambda: found)
    return found


@pytest.fixture
def lines(counts: Counts) -> Iterator[io.StringIO]:
    """What the logger of the service writes."""
    with logged() as lines:
        yield lines


def search(request: Request) -> Response:
    noted().key, noted().degraded, noted().bundle = "team-a", "slow", 3
    return PlainTextResponse(noted().request)


def broken(request: Request) -> Response:
    raise RuntimeError("no")


def warned(request: Request) -> Response:
    try:
        raise ValueError("blank")
    except ValueError:
        logs.log.exception("cannot draw %s", "it")
    return PlainTextResponse("")


APP = Starlette(
    routes=[
        Route("/search", search, methods=["POST"]),
        Route("/images/{id:path}", lambda _: PlainTextResponse("")),
        Route("/broken", broken),
        Route("/warned", warned),
        Route("/livez", lambda _: PlainTextResponse("")),
    ]
)
ROUTES = ("/", "/search", "/images/{id}", "/broken", "/warned")


@pytest.fixture
def client(lines: io.StringIO) -> TestClient:
    return TestClient(RequestLog(APP, ROUTES), raise_server_exceptions=False)


def written(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_a_request_has_one_line_without_what_was_asked_for(
    client: TestClient, lines: io.StringIO
) -> None:
    response = client.post(f"/search?q={SECRET}", json={"query": SECRET})
    (line,) = written(lines)
    assert line.pop("time").endswith("+00:00")
    assert line.pop("ms") >= 0
    assert line == {
        "level": "info",
        "request": response.text,
        "method": "POST",
        "route": "/search",
        "status": 200,
        "key": "team-a",
        "degraded": "slow",
        "bundle": 3,
    }
    assert SECRET not in lines.getvalue()


def test_an_id_is_made_and_returned(client: TestClient) -> None:
    one, two = (client.post("/search") for _ in range(2))
    assert re.fullmatch("[0-9a-f]{16}", one.headers[HEADER])
    assert one.headers[HEADER] == one.text != two.text


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 64])
def test_a_caller_may_choose_the_id(client: TestClient, given: str) -> None:
    response = client.post("/search", headers={HEADER: given})
    assert response.headers[HEADER] == response.text == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", 'a"b', "ä", "a/b"])
def test_an_id_that_could_do_harm_is_replaced(client: TestClient, given: str) -> None:
    response = client.post("/search", headers={HEADER: given.encode()})
    assert re.fullmatch("[0-9a-f]{16}", response.text)


def test_addresses_are_counted_by_route(client: TestClient, counts: Counts) -> None:
    for path in ("images/a/1.png", "images/b", "nowhere", "search", "livez"):
        client.get(f"/{path}")
    assert counts.answers == [
        ("/images/{id}", 200),
        ("/images/{id}", 200),
        ("other", 404),
        ("/search", 405),
        ("/livez", 200),
    ]


def test_probes_are_logged_only_when_they_fail(client: TestClient, lines: io.StringIO) -> None:
    client.get("/livez")
    assert not written(lines)
    client.get("/readyz")
    assert [line["status"] for line in written(lines)] == [404]


def test_a_failure_is_an_error_with_its_id(client: TestClient, lines: io.StringIO) -> None:
    response = client.get("/broken")
    (line,) = written(lines)
    assert (line["level"], line["status"]) == ("error", 500)
    assert line["request"] == response.headers[HEADER]


def test_other_messages_have_the_id_of_their_request(
    client: TestClient, lines: io.StringIO
) -> None:
    logs.log.info("began")
    client.get("/warned", headers={HEADER: "mine"})
    began, message, _ = written(lines)
    assert began["message"] == "began" and "request" not in began
    assert message["request"] == "mine" and message["message"] == "cannot draw it"
    assert "ValueError: blank" in message["traceback"]


def ask(app: Any, send: Any) -> Any:
    scope = {"type": "http", "method": "GET", "path": "/search", "headers": []}

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError("nothing more comes")

    return RequestLog(app, ROUTES)(scope, receive, send)


def test_each_part_of_a_stream_is_sent_at_once(lines: io.StringIO) -> None:
    sent: list[bytes] = []

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            assert sent == [b"one"][: len(sent)]
            assert not written(lines)
            yield part
            assert sent[-1] == part

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body" and message["body"]:
            sent.append(message["body"])

    asyncio.run(ask(StreamingResponse(parts()), send))
    assert sent == [b"one", b"two"]
    assert [line["status"] for line in written(lines)] == [200]


def test_a_request_that_is_given_up_is_logged_with_504(lines: io.StringIO) -> None:
    async def slow(*_: Any) -> None:
        await asyncio.sleep(60)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(slow, None), 0.05)

    asyncio.run(give_up())
    assert [line["status"] for line in written(lines)] == [504]
