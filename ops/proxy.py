"""The proxy in front of the endpoint: `python -m ops.proxy` (`make up` starts it).

It listens on the endpoint's port and sends each request to the Bento that the pointer names at that
moment. So a deployment is one replaced file: later requests go to the new Bento, and those that
were begun stay with the old one until they end. It knows nothing of searches, keys or limits: the
Bento behind it decides, as it does when it is served alone.

- Bodies pass in both directions as they come, so that a stream of events stays one.
- Every request has a connection of its own to the Bento, so none is lost to one that just closed.
- The caller's address is appended to `X-Forwarded-For`. A Bento's server believes that header from
  this machine only (uvicorn's `forwarded_allow_ips`), and it listens to this machine only.
- What it refuses itself it logs as the Bento logs a request, so that the monitor counts it.
- How many requests are in flight to which port can be asked at a socket that only the owner may
  open, so that nobody stops a Bento that still answers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from bento import logs
from ops.comparison import Reply
from ops.environment import HOME, ports
from ops.sockets import socket_file
from ops.trial import SEARCH, Copy, Trial
from ops.watched import Watched

PATIENCE = 8.0  # seconds for which a request waits for a Bento that does not listen
PAUSE = 0.1  # seconds between attempts
RETRY_SECONDS = 5  # a caller that got 503 may ask again after this
GRACE = 5.0  # seconds that requests in flight have to end when the proxy is stopped
HOPS = 8  # addresses of X-Forwarded-For that are kept, the latest ones

_OF_THE_CONNECTION = {  # RFC 9110, section 7.6.1: headers that are not the message's
    *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"),
    *("te", "trailer", "transfer-encoding", "upgrade", "expect"),
}
_FORWARDED = "x-forwarded-for"
_ROUTES = (SEARCH, f"{SEARCH}/stream", *logs.QUIET)  # by name in the log; a prefix may precede them
_OURS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")  # aiohttp would add them

log = logging.getLogger("eidolon.proxy")


def status_socket() -> Path:
    """Where the proxy tells how many requests are in flight."""
    return socket_file("proxy")


class RefusedError(Exception):
    """No Bento answers a request, so the proxy does, with ``status``."""

    def __init__(self, message: str, status: int = 503) -> None:
        super().__init__(message)
        self.status = status


class Proxy:
    """Sends requests to the Bento that the pointer at ``pointer`` names."""

    def __init__(self, pointer: Path) -> None:
        self.pointer = Watched(pointer)
        self.trial = Trial(pointer.parent)
        self.in_flight: Counter[int] = Counter()
        self._session: aiohttp.ClientSession | None = None

    def app(self) -> web.Application:
        """The application that callers reach."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_response_prepare.append(_without_server)
        app.cleanup_ctx.append(self._connected)
        return app

    def status_app(self) -> web.Application:
        """The application behind :func:`status_socket`."""
        app = web.Application()
        app.router.add_get("/", self.status)
        return app

    async def status(self, request: web.Request) -> web.Response:
        """Where requests go now, and how many are in flight to each port."""
        flying = {str(port): count for port, count in self.in_flight.items() if count}
        return web.json_response({"pointer": self.pointer.value(), "in_flight": flying})

    async def _connected(self, app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as self._session:
            yield

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward one request, or refuse and log it."""
        began = time.monotonic()
        try:
            return await self._sent(request, began + PATIENCE)
        except RefusedError as error:
            notes = logs.begun(request.headers.get(logs.HEADER, ""))
            seconds = time.monotonic() - began
            logs.tell(request.method, _route(request.path), error.status, seconds, notes)
            return _refusal(error, notes.request)

    async def _sent(self, request: web.Request, until: float) -> web.StreamResponse:
        """The answer of a Bento. Raises :class:`RefusedError` when none has answered by ``until``,
        or one broke off."""
        while True:
            pointer = self.pointer.value()
            if pointer is None:
                raise RefusedError(
                    "nothing is deployed yet: `make run` trains and deploys a version"
                )
            if live := pointer.get("port"):
                answered = await self._answered(request, live)
                if answered is not None:
                    return answered
            if time.monotonic() > until:
                raise RefusedError("the service is starting, or being started again: try again")
            await asyncio.sleep(PAUSE)

    async def _answered(self, request: web.Request, live: int) -> web.StreamResponse | None:
        """The answer of the Bento at the port ``live``, or of the challenger if it is its turn and
        it listens; ``None`` if neither listens."""
        for port in dict.fromkeys((self.trial.port_for(request, live), live)):
            copy = self.trial.copy_of(request, port, live)
            with self.flying(port):
                answered = await self._forward(request, port, copy)
            if answered is not None:
                if copy is not None:
                    self.trial.compare(copy, self._again)
                return answered
        return None

    async def _again(self, port: int, copy: Copy) -> Reply:
        """What the Bento at ``port`` answers to a search that another one has answered."""
        headers = forwarded(copy.request)
        headers["X-Request-ID"] = copy.id
        began = time.perf_counter()
        with self.flying(port):
            async with self.asked(
                port, "POST", path_of(copy.request), headers, bytes(copy.body)
            ) as answer:
                body = await answer.read()
                return Reply.of(answer.status, body, 1000 * (time.perf_counter() - began))

    @contextmanager
    def flying(self, port: int) -> Iterator[None]:
        """Count a request to ``port`` in this block."""
        self.in_flight[port] += 1
        try:
            yield
        finally:
            self.in_flight[port] -= 1

    @asynccontextmanager
    async def asked(
        self, port: int, method: str, path: str, headers: CIMultiDict[str], data: Any = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer of the Bento at ``port``, with its body still to come."""
        assert self._session is not None
        async with self._session.request(
            method,
            URL(f"http://127.0.0.1:{port}{path}", encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
            skip_auto_headers=_OURS,
        ) as answer:
            yield answer

    async def _forward(
        self, request: web.Request, port: int, copy: Copy | None
    ) -> web.StreamResponse | None:
        """The answer of the Bento at ``port``; ``None`` if it may be asked again, because it has
        not got the request, or got one that changes nothing and has no body. Body and answer are
        kept in ``copy``. Raises :class:`RefusedError` when it broke off any other request."""
        body = _body_of(request, copy) if request.can_read_body else None
        response: web.StreamResponse | None = None
        try:
            async with self.asked(
                port, request.method, path_of(request), forwarded(request), body
            ) as answer:
                response = web.StreamResponse(
                    status=answer.status, reason=answer.reason, headers=passed(answer.headers)
                )
                await _stream(request, response, answer, copy)
                return response
        except aiohttp.ClientConnectorError:
            return None
        except (aiohttp.ClientError, ConnectionError) as error:
            if response is not None:  # the caller must see that the answer is not whole
                if request.transport is not None:
                    request.transport.abort()
                return response
            if body is None and request.method in ("GET", "HEAD"):
                return None
            log.warning("the Bento at port %d broke off: %s", port, error or type(error).__name__)
            raise RefusedError("the service broke off before it answered: try again", 502) from None


async def _body_of(request: web.Request, copy: Copy | None) -> AsyncIterator[bytes]:
    """The body as it comes. Before each part the loop reads: a Bento may refuse a body and close
    before all of it was sent, and a part that is then sent into the void would lose the refusal."""
    async for part in request.content.iter_any():
        await asyncio.sleep(0)
        if copy is not None:
            copy.asked(part)
        yield part


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    answer: aiohttp.ClientResponse,
    copy: Copy | None,
) -> None:
    await response.prepare(request)
    async for part in answer.content.iter_any():
        if copy is not None:
            copy.answered(part)
        await response.write(part)
    await response.write_eof()
    if copy is not None:
        copy.status, copy.id = answer.status, answer.headers.get("X-Request-ID", "")


def path_of(request: web.Request) -> str:
    """The path and query as the caller wrote them, without the host that it may have named there
    too. What is no path, as in `OPTIONS *`, is the root."""
    path = request.raw_path
    if not path.startswith("/"):
        path = request.rel_url.raw_path_qs
    return path if path.startswith("/") else "/"


def forwarded(request: web.Request) -> CIMultiDict[str]:
    """The headers for the Bento: the caller's, and its address."""
    headers = passed(request.headers)
    hops = [hop.strip() for line in headers.popall(_FORWARDED, []) for hop in line.split(",")]
    headers[_FORWARDED] = ", ".join([*hops, request.remote or "unknown"][-HOPS:])
    return headers


def passed(headers: Any) -> CIMultiDict[str]:
    """The headers that belong to the message, and not to one of its connections."""
    named = {
        name.strip().lower()
        for line in headers.getall("Connection", ())
        for name in line.split(",")
    }
    left_out = _OF_THE_CONNECTION | named
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in left_out)


def _route(path: str) -> str:
    return next((route for route in _ROUTES if path.endswith(route)), logs.OTHER)


def _refusal(error: RefusedError, request: str) -> web.Response:
    """The error in the service's form, which asks the caller to come again."""
    headers = {"Retry-After": str(RETRY_SECONDS), logs.HEADER: request}
    return web.json_response({"error": str(error)}, status=error.status, headers=headers)


async def _without_server(request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)  # nobody need know what answers


async def run(proxy: Proxy, port: int, socket: Path) -> None:
    """Serve ``proxy`` on the loopback interface, and its status at ``socket``, until SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runners = [
        web.AppRunner(
            proxy.app(), handler_cancellation=True, access_log=None, shutdown_timeout=GRACE
        ),
        web.AppRunner(proxy.status_app(), access_log=None),
    ]
    try:
        for runner in runners:
            await runner.setup()
        with suppress(FileNotFoundError):
            socket.unlink()  # of a proxy that was killed
        old = os.umask(0o177)
        try:
            await web.UnixSite(runners[1], str(socket)).start()
        finally:
            os.umask(old)
        await web.TCPSite(runners[0], "127.0.0.1", port).start()
        await stopped.wait()
    finally:
        for runner in runners:
            await runner.cleanup()


def main() -> None:
    """Serve on the endpoint's port."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logs.start()
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # callers' malformed requests
    proxy = Proxy(HOME / "deployed.json")
    asyncio.run(run(proxy, ports(os.environ).endpoint, status_socket()))


if __name__ == "__main__":
    main()
