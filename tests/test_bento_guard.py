"""The guard: which bodies reach a handler, and the one form of errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from bento.guard import MAX_BODY, MAX_UPLOADS, BodyGuard, OneMessage

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD = 200_000
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


async def echo(request: Request) -> Response:
    """How many bytes arrived."""
    return PlainTextResponse(str(len(await request.body())))


def guarded(app: ASGIApp, seconds: float = 5.0) -> BodyGuard:
    return BodyGuard(app, uploads=["/similar"], upload_bytes=UPLOAD, seconds=seconds)


@pytest.fixture(scope="module")
def client() -> TestClient:
    routes = [Route(path, echo, methods=["POST", "GET"]) for path in ("/search", "/similar")]
    return TestClient(OneMessage(guarded(Starlette(routes=routes))))


@pytest.mark.parametrize(
    ("path", "headers", "size", "status"),
    [
        ("/search", JSON, 0, 200),
        ("/search", JSON, MAX_BODY, 200),
        ("/search", JSON, MAX_BODY + 1, 413),
        ("/search", {"Content-Type": "Application/JSON; charset=utf-8"}, 9, 200),
        ("/search", FORM, 9, 415),
        ("/search", {"Content-Type": "application/vnd.bentoml+pickle"}, 9, 415),
        ("/search", {"Content-Type": "application/x-www-form-urlencoded"}, 9, 415),
        ("/search", {}, 9, 415),
        ("/similar", JSON, MAX_BODY, 200),
        ("/similar", JSON, MAX_BODY + 1, 413),
        ("/similar", FORM, UPLOAD, 200),
        ("/similar", FORM, UPLOAD + 1, 413),
        ("/similar/", FORM, 9, 415),
        ("/similar", {"Content-Type": "text/plain"}, 9, 415),
        ("/similar", {"Content-Type": "application/vnd.bentoml+pickle"}, 9, 415),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_only_bodies_of_the_right_form_and_size_are_handled(
    client: TestClient, path: str, headers: dict[str, str], size: int, status: int, chunked: bool
) -> None:
    body = b"x" * size
    content: Any = (body[i : i + 999] for i in range(0, size, 999)) if chunked else body
    response = client.post(path, content=content, headers=headers)
    assert response.status_code == status, response.text
    if status == 200:
        assert response.text == str(size)
    else:
        assert list(response.json()) == ["error"]
    if status == 413:
        assert response.headers["connection"] == "close"


@given(headers=st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40))))
@pytest.mark.parametrize("name", [b"content-type", b"content-length"])
def test_any_header_is_handled_or_refused(
    client: TestClient, name: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    scope = post("/similar", *[(name, value) for _, value in headers], *headers)
    sent = asyncio.run(ask(client.app, scope, {"type": "http.request", "body": b"{}"}))
    assert sent[0]["status"] in (200, 413, 415)


def post(path: str, *headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": list(headers)}


async def ask(app: ASGIApp, scope: Scope, *messages: Message) -> list[Message]:
    """What an application sends for the messages of one request."""
    sent: list[Message] = []
    coming: Iterator[Message] = iter(messages)

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def test_body_that_breaks_off_is_not_handled() -> None:
    handled: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handled.append(scope["path"])

    scope = post("/search", (b"content-type", b"application/json"), (b"content-length", b"100"))
    part = {"type": "http.request", "body": b'{"query": "x"}'}
    broken = (part | {"more_body": True}, {"type": "http.disconnect"})
    start, _ = asyncio.run(ask(guarded(app), scope, *broken))
    assert (start["status"], handled) == (499, [])  # for the log: nobody reads it
    asyncio.run(ask(guarded(app), scope, part))
    assert handled == ["/search"]


@pytest.mark.parametrize("kind", [b"application/json", b"multipart/form-data; boundary=b"])
def test_slow_body_ends_with_408(kind: bytes) -> None:
    """A byte at a time: each one comes soon, but all of them do not."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def drip() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        scope = post("/similar", (b"content-type", kind))
        await asyncio.wait_for(guarded(app, seconds=0.1)(scope, drip, send), 5)

    asyncio.run(run())
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert "within 0.1 seconds" in json.loads(sent[1]["body"])["error"]


def test_only_so_many_uploads_are_held_at_once() -> None:
    """A further one is refused, while other requests are answered. A place is free again when an
    upload has been answered, whatever the answer."""

    async def run() -> list[list[int]]:
        answered, holding = asyncio.Event(), asyncio.Semaphore(0)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/similar":
                holding.release()
                await answered.wait()
            raise RuntimeError  # the guard must give the place back all the same

        guard = guarded(app)
        form = post("/similar", (b"content-type", b"multipart/form-data; boundary=b"))
        query = post("/search", (b"content-type", b"application/json"))
        body: Message = {"type": "http.request", "body": b"{}"}

        async def status(scope: Scope) -> int:
            try:
                return int((await ask(guard, scope, body))[0]["status"])
            except RuntimeError:
                return 500

        rounds = []
        for _ in range(2):
            answered.clear()
            held = [asyncio.create_task(status(form)) for _ in range(MAX_UPLOADS)]
            for _ in held:
                await holding.acquire()
            rounds.append([await status(form), await status(query)])
            answered.set()
            await asyncio.gather(*held)
        return rounds

    assert asyncio.run(run()) == [[429, 500], [429, 500]]


def app_of(response: Response) -> TestClient:
    return TestClient(OneMessage(response))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (JSONResponse({"error": "a"}, 400), "a"),
        (JSONResponse([{"error": "b"}], 400), "b"),
        (PlainTextResponse("c", 404), "c"),
        (JSONResponse({"error": "d", "detail": [{"loc": ["k"], "msg": "e"}]}, 400), "k: e"),
        (JSONResponse({"error": "d", "detail": [{"loc": [], "msg": "e"}]}, 400), "the body: e"),
        (PlainTextResponse("x" * 9999, 400), "x" * 500),
        (PlainTextResponse("[" * 60_000, 400), "[" * 500),
        (Response(b"\xff", 500), "�"),
    ],
)
def test_every_error_has_one_form(response: Response, message: str) -> None:
    answer = app_of(response).get("/")
    assert answer.json() == {"error": message}
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [429, 503])
def test_a_passing_error_says_when_to_ask_again(status: int) -> None:
    assert app_of(PlainTextResponse("", status)).get("/").headers["retry-after"] == "5"
    told = PlainTextResponse("", status, {"Retry-After": "42"})
    assert app_of(told).get("/").headers["retry-after"] == "42"


def test_an_error_keeps_its_other_headers() -> None:
    told = PlainTextResponse("", 401, {"WWW-Authenticate": "Bearer"})
    assert app_of(told).get("/").headers["www-authenticate"] == "Bearer"


def test_events_pass_as_they_come() -> None:
    """Each event is sent on before the next one exists."""
    sent: list[bytes] = []

    async def events() -> AsyncIterator[str]:
        for name in ("text", "fused", "done"):
            yield name
            assert sent[-1] == name.encode()

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    app = OneMessage(guarded(StreamingResponse(events(), media_type="text/event-stream")))
    scope = {"type": "http", "method": "GET", "path": "/search/stream", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert sent == [b"", b"text", b"fused", b"done", b""]
