"""Sends bytes to a server as they are, and judges what comes back."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead

from benchmarks.bad import LOST, Bad

BUSY = (429, 503)  # with Retry-After, they are an answer to anything
PATIENCE = 150.0  # seconds for one answer
_ATTEMPTS = 3
LONGEST = 500  # characters of an error; names that the caller chose may be among them


@dataclass(frozen=True)
class Reply:
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes


async def send(port: int, bad: Bad) -> Reply | None:
    """What the server at ``port`` answers; ``None`` for a caller who did not wait for it.

    A server that refuses a request before it has read it all may reset the connection, and the end
    of its answer can be lost with it (RFC 9112, section 9.6). Then this asks again.

    Raises ``TimeoutError`` when no whole answer comes.
    """
    for _ in range(_ATTEMPTS):
        with suppress(IncompleteRead):
            return await _sent(port, bad)
    raise TimeoutError(f"no whole answer in {_ATTEMPTS} attempts")


async def _sent(port: int, bad: Bad) -> Reply | None:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(_read(reader, bad.reads))
        try:
            with suppress(ConnectionError):  # refused before all of it was sent
                for piece in bad.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(bad.pause)
            data = await reading
        finally:
            reading.cancel()
            writer.transport.abort()
    return _parsed(data) if bad.reads is None else None


async def _read(reader: asyncio.StreamReader, most: int | None) -> bytes:
    data = b""
    with suppress(ConnectionError):
        while most is None or len(data) < most:
            part = await reader.read(65_536)
            if not part:
                break
            data += part
    return data


class _Socket:
    """What ``HTTPResponse`` wants of a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _parsed(data: bytes) -> Reply:
    if not data:
        return Reply(LOST, {}, b"")
    response = HTTPResponse(_Socket(data))  # type: ignore[arg-type]
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def objection(bad: Bad, reply: Reply | None) -> str:
    """What is wrong with the answer; empty when it is fine."""
    if reply is None:
        return ""
    status = reply.status
    if status in BUSY:
        return "" if "retry-after" in reply.headers else f"{status} without Retry-After"
    if status not in bad.statuses:
        return f"status {status}, not {' or '.join(map(str, bad.statuses))}: {reply.body[:200]!r}"
    if status == LOST or not bad.http:
        return ""
    try:
        values = [json.loads(one, parse_constant=_refuse) for one in _texts(reply)]
    except ValueError as error:
        return f"no JSON, {error}: {reply.body[:200]!r}"
    if status < 400:
        return ""
    match values:
        case [{"error": str(said), **others}] if (
            said.strip() and len(said) <= LONGEST and not others
        ):
            return ""
    return f"no error of one sentence: {reply.body[:200]!r}"


def _texts(reply: Reply) -> list[bytes]:
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        lines = reply.body.splitlines()
        return [line[6:] for line in lines if line.startswith(b"data: ")]
    return [reply.body]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} in JSON")
