"""The guard: a body that breaks off reaches no handler."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bento.guard import BodyGuard

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send


def test_body_that_breaks_off_is_not_handled() -> None:
    handled: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handled.append(scope["path"])

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask(*messages: Message) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/search",
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
        }
        coming = iter(messages)

        async def receive() -> Message:
            return next(coming)

        await BodyGuard(app)(scope, receive, send)

    part = {"type": "http.request", "body": b'{"query": "x"}'}
    asyncio.run(ask(part | {"more_body": True}, {"type": "http.disconnect"}))
    assert (handled, sent) == ([], [])
    asyncio.run(ask(part))
    assert handled == ["/search"]
