"""Host names and origins: rebinding, requests of other pages, and CORS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bento.guard import OneMessage
from bento.keys import Keys, keys_in
from bento.origins import Origins, cross_origin

FRIEND = "https://friend.example"


async def fine(request: Request) -> Response:
    return PlainTextResponse("fine")


APP = Starlette(routes=[Route("/{rest:path}", fine, methods=["GET", "POST"])])
CHECKED = Origins(APP, hosts=["Pics.Example"], origins=[FRIEND], probes=["/livez"])


def ask(method: str = "GET", path: str = "/", **headers: str) -> Response | Any:
    return TestClient(OneMessage(CHECKED)).request(method, path, headers=headers)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:3000",
        "LOCALHOST:3000",
        "eidolon.localhost",
        "127.0.0.1:3000",
        "[::1]:3000",
        "[::1]",
        "192.168.7.7:3000",
        "pics.example",
        "PICS.example.:443",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_own_names_and_addresses_are_answered(host: str, method: str) -> None:
    assert ask(method, host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "pics.example.evil.example",
        "evilpics.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "1.2.3.4.5",
        "127.1",
        "",
        ":3000",
        "localhost:x",
        "evil@localhost",
        "localhost/evil",
        "[evil]",
        "::1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_rebound_name_is_refused(host: str, method: str) -> None:
    refused = ask(method, "/search", host=host)
    assert refused.status_code == 403
    assert "Host" in refused.json()["error"] or "serve.hosts" in refused.json()["error"]


def test_forwarded_names_are_not_believed() -> None:
    forwarded = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost"}
    assert ask(host="evil.example", **forwarded).status_code == 403
    origin = "http://evil.example"
    forwarded = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    assert ask("POST", host="localhost", origin=origin, **forwarded).status_code == 403


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_one_host_must_be_named(hosts: list[str]) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"host", host.encode()) for host in hosts],
    }
    assert status(scope) == 403


def test_probes_are_answered_under_any_name() -> None:
    """An orchestrator probes by addresses and names of its own."""
    assert ask(path="/livez", host="pod-17").status_code == 200
    assert ask(path="/livez/", host="pod-17").status_code == 403


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost:3000", "localhost:3000", 200),
        ("http://127.0.0.1:3000", "127.0.0.1:3000", 200),
        ("http://[::1]:3000", "[::1]:3000", 200),
        ("https://pics.example", "pics.example", 200),
        ("https://pics.example", "pics.example:443", 200),
        ("http://pics.example:80", "pics.example", 200),
        (FRIEND, "localhost:3000", 200),
        (FRIEND.upper(), "localhost:3000", 200),
        (f"{FRIEND}:444", "localhost:3000", 403),
        (f"{FRIEND}.evil.example", "localhost:3000", 403),
        ("http://friend.example", "localhost:3000", 403),
        ("http://evil.example", "localhost:3000", 403),
        ("http://localhost:8080", "localhost:3000", 403),
        ("http://localhost", "localhost:3000", 403),
        ("https://localhost", "localhost:80", 403),
        ("http://127.0.0.1:3000", "localhost:3000", 403),
        ("null", "localhost:3000", 403),
        ("", "localhost:3000", 403),
        ("file://", "localhost:3000", 403),
        ("chrome-extension://localhost:3000", "localhost:3000", 403),
        ("localhost:3000", "localhost:3000", 403),
    ],
)
def test_only_own_and_allowed_pages_may_send(origin: str, host: str, status: int) -> None:
    sent = ask("POST", "/search", host=host, origin=origin)
    assert sent.status_code == status
    if status == 403:
        assert "serve.origins" in sent.json()["error"]
    assert ask("GET", "/images/x.png", host=host, origin=origin).status_code == 200


def test_programs_send_no_origin_and_are_answered() -> None:
    assert ask("POST", "/search", host="localhost").status_code == 200


def status(scope: dict[str, Any]) -> int:
    """The status that a raw request gets."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(CHECKED(scope, receive, send))
    return int(sent[0]["status"])


@given(host=st.binary(max_size=60), origin=st.binary(max_size=60))
def test_any_bytes_are_answered_or_refused(host: bytes, origin: bytes) -> None:
    for named, sent in (
        (host, origin),
        (b"localhost", origin),
        (b"localhost", b"http://" + origin),
    ):
        headers = [(b"host", named), (b"origin", sent)]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        assert status(scope) in (200, 403)


def service(origins: list[str]) -> TestClient:
    """The middlewares in the order of the service."""
    keys = Keys(
        APP, keys=keys_in({"EIDOLON_API_KEYS": "a:0123456789abcdef"}), public=(), per_minute=1
    )
    app: Any = Origins(keys, hosts=(), origins=origins, probes=())
    if origins:
        app = CORSMiddleware(app, **cross_origin(origins))
    return TestClient(OneMessage(app), base_url="http://localhost")


def preflight(origins: list[str], origin: str) -> Any:
    wanted = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return service(origins).options("/search", headers=wanted)


def test_cors_is_only_for_configured_origins() -> None:
    allowed = preflight([FRIEND], FRIEND)
    assert allowed.status_code == 200  # without a key: a browser sends none with a preflight
    assert allowed.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in allowed.headers
    for refused in (preflight([FRIEND], "https://evil.example"), preflight([], FRIEND)):
        assert refused.status_code in (400, 401)
        assert list(refused.json()) == ["error"]
        assert "access-control-allow-origin" not in refused.headers


def test_an_allowed_page_can_read_refusals_too() -> None:
    client = service([FRIEND])
    refused = client.post("/search", headers={"Origin": FRIEND})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == FRIEND
    key = {"Origin": FRIEND, "Authorization": "Bearer 0123456789abcdef"}
    assert client.post("/search", headers=key).status_code == 200
    limited = client.post("/search", headers=key)
    assert limited.status_code == 429
    assert limited.headers["access-control-allow-origin"] == FRIEND
    assert "Retry-After" in limited.headers["access-control-expose-headers"]
