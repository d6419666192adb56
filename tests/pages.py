"""The search page in a real browser, and a proxy that can hold a stream back or add a prefix."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright

from tests import browser as browsers

if TYPE_CHECKING:
    from tests.serving import Served

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000  # ms: a free phrase is imagined on a busy machine
FREE = "a red star beside a ring"
EVENLY = "?weight=0.5"
"""The search in an address, with a λ that moves hits: the toy's models are random, and its own λ
may be 0."""

HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
"""Headers that a proxy does not pass on. `Host` is none: the service compares it with `Origin`."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        program = browsers.bring()
    except browsers.NoBrowserError as error:
        pytest.fail(str(error), pytrace=False)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=program, args=ARGUMENTS, env=browsers.environment(program)
        )


@contextmanager
def opened(
    browser: Browser, url: str, complaints: list[str], path: str = "", **context: Any
) -> Iterator[Page]:
    """A page at ``url / path``. ``complaints`` gets what the console says, and every address that
    is asked for and does not begin with ``url``."""
    page = browser.new_page(**context)
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda m: complaints.append(m.text) if m.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    own = (f"{url}/", "data:", f"blob:{url}")
    page.on("request", lambda r: None if r.url.startswith(own) else complaints.append(r.url))
    page.goto(f"{url}/{path}")
    yield page
    page.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(browser: Browser, served: Served, complaints: list[str]) -> Iterator[Page]:
    with opened(browser, served.url, complaints) as page:
        yield page


def search(page: Page, query: str) -> None:
    page.get_by_label("What to look for").fill(query)
    page.keyboard.press("Enter")


def answered(page: Page, query: str) -> None:
    """Wait for the last answer to ``query``."""
    expect(page.get_by_role("status")).to_contain_text(f"“{query}”:")
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")


def ids(page: Page) -> list[str]:
    """The ids of the hits, in the order that they are shown."""
    found: list[str] = page.locator("#hits > li").evaluate_all("(l) => l.map((n) => n.dataset.id)")
    return found


def asked(page: Page) -> list[dict[str, Any]]:
    """The queries that the page will stream from now on, as they are sent."""
    bodies: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/search/stream"):
            body: Any = request.post_data_json
            bodies.append(body)

    page.on("request", note)
    return bodies


def answer(page: Page, served: Served, query: str, **fields: Any) -> dict[str, Any]:
    """What the service answers to ``query``."""
    response = page.request.post(f"{served.url}/search", data={"query": query} | fields)
    assert response.ok, response.text()
    value: dict[str, Any] = response.json()
    return value


def stream(*events: tuple[str, dict[str, Any]]) -> str:
    """The body of a stream with these events."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


def streams(page: Page, *events: tuple[str, dict[str, Any]]) -> None:
    """Let the next searches get these events instead of the service's."""
    page.unroute("**/search/stream")
    page.route(
        "**/search/stream",
        lambda route: route.fulfill(content_type="text/event-stream", body=stream(*events)),
    )


def refuses(page: Page, status: int, error: str, **headers: str) -> None:
    """Let the next searches be refused."""

    def refuse(route: Route) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        route.fulfill(status=status, headers=named, json={"error": error})

    page.unroute("**/search/stream")
    page.route("**/search/stream", refuse)


class Proxy:
    """A reverse proxy in front of a service, under ``prefix``. Between :meth:`hold` and
    :meth:`release`, every event of a stream waits for one :meth:`step`."""

    def __init__(self, target: str, prefix: str = "") -> None:
        self._held, self._steps, self._changed = False, 0, threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, target, prefix))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def hold(self) -> None:
        """Let no event through from now on."""
        with self._changed:
            self._held, self._steps = True, 0

    def step(self) -> None:
        """Let one event through."""
        with self._changed:
            self._steps += 1
            self._changed.notify_all()

    def release(self) -> None:
        """Let everything through."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait for a step, if events are held."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._steps, PATIENCE / 1000)
            self._steps -= 1

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


def _handler(proxy: Proxy, target: str, prefix: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _forward(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            connection = http.client.HTTPConnection(urlsplit(target).netloc)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            connection.request(self.command, self.path.removeprefix(prefix), body or None, sent)
            response = connection.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.end_headers()
            if (response.getheader("Content-Type") or "").startswith("text/event-stream"):
                self._events(response)
            else:
                self.wfile.write(response.read())
            connection.close()

        def _events(self, response: http.client.HTTPResponse) -> None:
            block = b""
            while line := response.readline():
                block += line
                if line.strip():
                    continue
                if block.startswith(b"event"):
                    proxy.wait()
                try:
                    self.wfile.write(block)
                except OSError:  # the browser has aborted the search
                    return
                block = b""

        do_GET = do_POST = _forward  # noqa: N815 - as the base class names them

    return Handler
