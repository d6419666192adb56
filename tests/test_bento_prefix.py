"""A service under a path prefix, for a proxy that does not remove it."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from bento.front import Prefix

PREFIX = "/some/where"


def told(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.url.path}?{request.url.query}")


ROUTES = [Route("/", told), Route("/search", told, methods=["POST"]), Route("/images/{id}", told)]


@pytest.fixture
def client() -> TestClient:
    return TestClient(Prefix(Starlette(routes=ROUTES), prefix=PREFIX))


def test_the_prefix_is_taken_away(client: TestClient) -> None:
    assert client.get(f"{PREFIX}/").text == "/?"
    assert client.post(f"{PREFIX}/search").text == "/search?"
    assert client.get(f"{PREFIX}/images/1?v=2").text == "/images/1?v=2"


def test_the_service_answers_without_it_too(client: TestClient) -> None:
    assert client.get("/").text == "/?"
    assert client.get("/some/images/1").status_code == 404
    assert client.get(f"{PREFIX}more/").status_code == 404


@pytest.mark.parametrize("query", ["", "?q=red%20star&k=12"])
def test_the_bare_prefix_leads_to_the_page(client: TestClient, query: str) -> None:
    answer = client.get(f"{PREFIX}{query}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"where/{query}")
    assert client.get(f"{PREFIX}{query}").url.path == f"{PREFIX}/"
    assert client.post(PREFIX).status_code == 404
