"""In front of the API: a limit on the size of a body, JSON as its only form, one form of errors.

BentoML does not limit a body. It would parse forms and multipart bodies too, and fetch the URLs in
them. Its errors come in three forms; here every error is ``{"error": "one sentence"}``.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024  # bytes
RETRY_SECONDS = 5  # a caller that got 429 or 503 may ask again after this
MAX_MESSAGE = 500  # characters of an error, which holds names that the caller chose


def refusal(status: int, message: str) -> JSONResponse:
    """An error in its one form."""
    return JSONResponse({"error": message}, status_code=status)


class BodyGuard:
    """Refuse bodies that are too large (413) or not JSON (415) before anything parses them."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            refused = refusal(415, "send JSON, with the header Content-Type: application/json")
            await refused(scope, receive, send)
            return
        length = headers.get("content-length", "0")
        allowed = length.isdigit() and int(length) <= self.limit
        try:
            body = await self._read(Request(scope, receive)) if allowed else None
        except ClientDisconnect:
            return
        if body is None:
            refused = refusal(413, f"a request body has at most {self.limit} bytes")
            await refused(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)

    async def _read(self, request: Request) -> bytes | None:
        """The whole body, or ``None`` when it exceeds the limit."""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self.limit:
                return None
        return bytes(body)


class OneMessage:
    """Give every error its one form, and a temporary one the time after which to ask again."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held: list[Message] = []  # the start of an error, until its body is complete
        body = bytearray()

        async def reword(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    held.append(message)
                    return
            elif held:
                body.extend(message.get("body", b""))
                if message.get("more_body", False):
                    return
                start, text = held.pop(), _reworded(bytes(body))
                headers = MutableHeaders(scope=start)
                headers["content-length"] = str(len(text))
                headers["content-type"] = "application/json"
                if start["status"] in (429, 503):
                    headers["retry-after"] = str(RETRY_SECONDS)
                await send(start)
                message = {"type": "http.response.body", "body": text}
            await send(message)

        await self.app(scope, receive, reword)


def _reworded(body: bytes) -> bytes:
    try:
        message = _sentence(json.loads(body))
    except ValueError:
        message = body.decode(errors="replace")
    return json.dumps({"error": message[:MAX_MESSAGE]}).encode()


def _sentence(error: Any) -> str:
    """One sentence out of BentoML's ``[{"error"}]``, ``{"error"}`` or ``{"error", "detail"}``."""
    if isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, dict):
        return str(error)
    details = [
        f"{'.'.join(map(str, d['loc'])) or 'the body'}: {d['msg']}" for d in error.get("detail", [])
    ]
    return "; ".join(details) or str(error.get("error", error))
