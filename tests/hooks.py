"""A webhook: a real receiver on loopback, for tests of what people are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SECRET = "T0/B0/s3cr3t"


class Hook(ThreadingHTTPServer):
    """A receiver that keeps what it got and answers as it is told."""

    daemon_threads = True
    status, wait = 200, 0.0

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/{SECRET}?token={SECRET}"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        time.sleep(self.server.wait)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """A webhook to which this process tells."""
    with receiving() as server:
        monkeypatch.setenv("EIDOLON_WEBHOOK", server.url)
        monkeypatch.setenv("NO_PROXY", "*")
        yield server


@contextmanager
def receiving() -> Iterator[Hook]:
    """A webhook that listens during this block."""
    server = Hook()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
