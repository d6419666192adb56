"""A small server that answers as the contract of the search service says, for its clients."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

_red = io.BytesIO()
Image.new("RGB", (16, 16), (250, 10, 20)).save(_red, "PNG")
PICTURE = _red.getvalue()
HIT = {
    "rank": 1,
    "id": "gallery/red_star/0001.png",
    "category": "red star",
    "split": "unseen",
    "source": "",
    "metadata": {},
    "score": 0.5,
    "text_score": 0.25,
    "image_score": 0.75,
    "hubness": 0.0,
    "picture": "images/gallery/red_star/0001.png?v=769354cb145b",
    "count": 2,
}
IMAGINED = {
    "id": "0" * 64,
    "picture": f"images/{'0' * 64}",
    "seed": 7,
    "weight": 1.0,
    "agreement": 0.1,
    "kept": True,
    "why": None,
}
NAMES = {"bundle": {"version": 3, "digest": "769354cb145b"}, "models": {"clip": "clip@1"}}


def answer(query: str, **changes: Any) -> dict[str, Any]:
    """The JSON of an answer."""
    fields = {
        "request": "5f0c4cf0e5f14e6f",
        "query": query,
        "known": False,
        "mode": "fused",
        "lambda": 0.65,
        "hits": [HIT],
        "total": 12,
        "imagined": [IMAGINED],
        "confidence": 0.75,
        "relevant": True,
        "unknown_words": [],
        "kind": "class",
        "excluded": None,
        "suggestion": None,
        "truncated": False,
        "degraded": None,
        "missing": None,
        "timings": {"text": 1.0, "imagine": 300.0, "rank": 1.0, "total": 302.0},
        "seeds": [7],
    }
    return fields | NAMES | changes


def event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


class Fake:
    """The server. ``asked`` has each request: its path, headers and body. ``fails`` is answered
    instead, where it is set; ``stream`` are the parts of a stream."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.fails: Response | None = None
        self.stream: Sequence[str | bytes] | None = None
        self.changes: dict[str, Any] = {}
        paths = ("search", "search/stream", "similar", "feedback", "bundle", "categories")
        routes = [
            Route(f"/below/{p}", self._answer, methods=["GET", "POST"])
            for p in (*paths, "images/{id:path}")
        ]
        self.app = Starlette(routes=routes)
        self.url = ""

    async def _answer(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/below/")
        kind = request.headers.get("content-type", "")
        body: Any = None
        if kind.startswith("multipart/"):
            async with request.form() as form:
                upload = form["image"]
                assert not isinstance(upload, str)
                body = dict(form) | {"image": await upload.read()}
        elif kind:
            body = await request.json()
        self.asked.append((path, dict(request.headers), body))
        if self.fails is not None:
            return self.fails
        match path:
            case "search":
                return JSONResponse(answer(body["query"], **self.changes))
            case "search/stream":
                return StreamingResponse(self._parts(body["query"]), media_type="text/event-stream")
            case "similar":
                return JSONResponse({"request": "0" * 16, "hits": [HIT], "total": 12} | NAMES)
            case "feedback":
                return Response(status_code=204)
            case "bundle":
                return JSONResponse(NAMES["bundle"])
            case "categories":
                return JSONResponse({"categories": [{"category": "red star", "pictures": 12}]})
        return Response(PICTURE, media_type="image/png")

    async def _parts(self, query: str) -> Any:
        by_text = answer(query, mode="text", imagined=[], **{"lambda": 0.0})
        whole = [
            event("text", by_text),
            ": still there\n\n",
            event("imagined", IMAGINED | {"weight": None}),
            event("fused", answer(query, **self.changes)),
            event("done", {}),
        ]
        for part in whole if self.stream is None else self.stream:
            if part == "break":
                raise ConnectionError("the connection breaks here")
            yield part


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    fake = Fake()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fake.url = f"http://127.0.0.1:{listening.getsockname()[1]}/below"
        running = uvicorn.Server(uvicorn.Config(fake.app, log_level="critical"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        while not running.started:
            time.sleep(0.01)
        yield fake
        running.should_exit = True
        thread.join()


@pytest.fixture
def fake(server: Fake) -> Fake:
    server.asked.clear()
    server.fails, server.stream, server.changes = None, None, {}
    return server
