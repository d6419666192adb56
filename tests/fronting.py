"""A proxy in front of small servers that stand for Bentos."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from components.files import write_json
from components.ports import free_port
from ops.proxy import Proxy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(app: web.Application, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def bento(handler: Handler, port: int | None = None) -> AsyncIterator[int]:
    """A server that stands for a Bento."""
    app, port = web.Application(client_max_size=2**30), port or free_port()
    app.router.add_route("*", "/{path:.*}", handler)
    async with listening(app, port):
        yield port


class Front:
    """A proxy, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.pointer = folder / "deployed.json"
        self.proxy = Proxy(self.pointer)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def point(self, port: int) -> None:
        write_json(self.pointer, {"bento": f"eidolon:{port}", "version": 1, "port": port})

    @asynccontextmanager
    async def client(self) -> AsyncIterator[aiohttp.ClientSession]:
        async with listening(self.proxy.app(), self.port), aiohttp.ClientSession() as session:
            yield session

    async def raw(self, text: str) -> bytes:
        """What is answered to these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text.encode())
        found = await reader.read()
        writer.close()
        return found
