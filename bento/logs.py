"""One line of JSON for each request, and an id that finds it: in the answer, its header, the log.

A line tells how the service did, and not what anyone asked for: it has no query and no address of a
picture. Nothing of a response is held back, so streams stay streams.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento.metrics import metrics

HEADER = "X-Request-ID"
OTHER = "other"  # the route of an address that the service does not have
QUIET = ("/livez", "/readyz", "/healthz", "/health", "/metrics")  # not logged when all is well
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger("bentoml.eidolon")


@dataclass
class Noted:
    """What is known of the request that this code answers. Whoever learns more writes it here:
    the name of the caller's ``key``, and why an answer was ``degraded``."""

    request: str
    key: str | None = None
    degraded: str | None = None
    bundle: int | None = None


_current: ContextVar[Noted | None] = ContextVar("eidolon_request", default=None)


def noted() -> Noted:
    """The notes of the request that this code answers; outside of one, new notes."""
    return _current.get() or Noted(_new_id())


def begun(given: str) -> Noted:
    """The notes of a new request. Its id is the one that the caller has ``given``, if that is
    one."""
    return Noted(given if _ID.fullmatch(given) else _new_id())


def tell(method: str, route: str, status: int, seconds: float, notes: Noted) -> None:
    """Log a request that was answered."""
    fields = {
        "request": notes.request,
        "method": method,
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "key": notes.key,
        "degraded": notes.degraded,
        "bundle": notes.bundle,
    }
    log.log(logging.ERROR if status >= 500 else logging.INFO, "", extra={"fields": fields})


def start() -> None:
    """Write all lines of this logger to stdout as JSON. Call it once in a process."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Json())
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)


class RequestLog:
    """ASGI middleware: gives every request an id, logs it when it is answered, and counts it.

    ``routes`` are the addresses of the service; `{` begins a part that varies.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[str]) -> None:
        self.app = app
        self._fixed = {route for route in routes if "{" not in route}
        self._varying = {route.partition("{")[0]: route for route in routes if "{" in route}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        notes = begun(given)
        status, began = 500, time.monotonic()

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = notes.request
            await send(message)

        token = _current.set(notes)
        try:
            await self.app(scope, receive, identified)
        except asyncio.CancelledError:
            status = 504  # BentoML's limit of time
            raise
        finally:
            self._line(scope, status, time.monotonic() - began, notes)
            _current.reset(token)

    def _line(self, scope: Scope, status: int, seconds: float, notes: Noted) -> None:
        route = self._route(scope["path"])
        metrics().answered(route, status)
        if route in QUIET and status < 400:
            return
        tell(scope["method"], route, status, seconds, notes)

    def _route(self, path: str) -> str:
        if path in self._fixed or path in QUIET:
            return path
        return next((r for stem, r in self._varying.items() if path.startswith(stem)), OTHER)


class _Json(logging.Formatter):
    """A line of JSON: the fields of a request, or the message of any other record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": when, "level": record.levelname.lower()}
        if notes := _current.get():
            line["request"] = notes.request
        line |= getattr(record, "fields", None) or {"message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _new_id() -> str:
    return secrets.token_hex(8)
