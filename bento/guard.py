"""In front of the API: limits on a body's size and time, its allowed forms, one form of errors.

BentoML does not limit a body. It would parse any form, unpickle, and fetch the URLs that it finds.
Its errors come in three forms; here every error is ``{"error": "one sentence"}``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.api.messages import what_is_wrong

MAX_BODY = 64 * 1024  # bytes of a body that is no upload
MAX_UPLOAD = 20 * 2**20  # bytes of an upload, unless the settings say otherwise
MAX_UPLOADS = 8  # uploads that one process holds at once, since each is in memory as a whole
BODY_SECONDS = 30.0  # within which a body arrives, unless the settings say otherwise
RETRY_SECONDS = 5  # a caller that got 429 or 503 may ask again after this
MAX_MESSAGE = 500  # characters of an error, which holds names that the caller chose

_JSON, _FORM = "application/json", "multipart/form-data"
_CLOSE = {"Connection": "close"}  # where the rest of a body will not be read


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error in its one form."""
    return JSONResponse({"error": message}, status_code=status, headers=headers)


class BodyGuard:
    """Refuses bodies that are too large (413), of a wrong form (415) or too slow (408) before
    anything parses them."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        uploads: Collection[str] = (),
        upload_bytes: int = MAX_UPLOAD,
        seconds: float = BODY_SECONDS,
    ) -> None:
        """A body is JSON of at most :data:`MAX_BODY` bytes. At the paths ``uploads`` it may also be
        a form with files, of at most ``upload_bytes``. It must arrive within ``seconds``."""
        self.app = app
        self._paths, self._upload_bytes, self._seconds = frozenset(uploads), upload_bytes, seconds
        self._uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        kind = Headers(scope=scope).get("content-type", "").split(";")[0].strip().lower()
        forms = [_JSON, _FORM] if scope["path"] in self._paths else [_JSON]
        if kind not in forms:
            wanted = " or ".join(forms)
            refused = refusal(415, f"send a body of the type {wanted}, and say so in Content-Type")
            await refused(scope, receive, send)
        elif kind == _JSON:
            await self._pass(MAX_BODY, scope, receive, send)
        elif self._uploading >= MAX_UPLOADS:
            refused = refusal(429, "too many pictures are being uploaded now: try again", _CLOSE)
            await refused(scope, receive, send)
        else:
            self._uploading += 1
            try:
                await self._pass(self._upload_bytes, scope, receive, send)
            finally:
                self._uploading -= 1

    async def _pass(self, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, and hand it on in one piece."""
        length = Headers(scope=scope).get("content-length", "0")
        allowed = length.isdecimal() and int(length[:20]) <= limit
        try:
            async with asyncio.timeout(self._seconds):
                body = await _read(Request(scope, receive), limit) if allowed else None
        except ClientDisconnect:
            # nobody reads this; without an answer BentoML would keep the request until its timeout
            await refusal(499, "the caller broke off", _CLOSE)(scope, receive, send)
            return
        except TimeoutError:
            late = f"the request body did not arrive within {self._seconds:g} seconds"
            await refusal(408, late, _CLOSE)(scope, receive, send)
            return
        if body is None:
            large = f"this request body has at most {limit} bytes"
            await refusal(413, large, _CLOSE)(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self.app(scope, replay, send)


async def _read(request: Request, limit: int) -> bytes | None:
    """The whole body, or ``None`` when it exceeds ``limit`` bytes."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            return None
    return bytes(body)


class OneMessage:
    """Give every error its one form, and a temporary one the time after which to ask again.

    Answers that are no errors pass as they come, so that a stream of events is not held back.
    """

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
                    headers.setdefault("retry-after", str(RETRY_SECONDS))
                await send(start)
                message = {"type": "http.response.body", "body": text}
            await send(message)

        await self.app(scope, receive, reword)


def _reworded(body: bytes) -> bytes:
    try:
        message = _sentence(json.loads(body))
    except (ValueError, RecursionError):
        message = body.decode(errors="replace")
    return json.dumps({"error": message[:MAX_MESSAGE]}).encode()


def _sentence(error: Any) -> str:
    """One sentence out of BentoML's ``[{"error"}]``, ``{"error"}`` or ``{"error", "detail"}``."""
    if isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, dict):
        return str(error)
    return what_is_wrong(error.get("detail", [])) or str(error.get("error", error))
