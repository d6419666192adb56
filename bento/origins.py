"""From where the service may be used: the names it answers to, and the pages that may call it.

A page that a browser loads from anywhere can send requests to any address, this one included. With
DNS rebinding it can even read the answers, under its own host name. So only known host names are
answered, and a request that another page sends is refused unless its origin is allowed.

The headers X-Forwarded-* are not read: a caller can write them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.guard import refusal
from bento.logs import HEADER

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@/\s]+)(?::([0-9]{1,5}))?")
_READING = ("GET", "HEAD", "OPTIONS")
_PORTS = {"http": "80", "https": "443"}


class Origins:
    """Refuses requests to a host name that is not the service's, and those of other pages (403)."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        origins: Collection[str],
        probes: Collection[str],
    ) -> None:
        """``hosts`` are names beside localhost and all IP addresses: rebinding needs a name.

        ``origins``, such as `https://example.org`, are pages of others that may send requests. The
        paths ``probes`` are answered under any name.
        """
        self.app = app
        self._hosts = {host.lower() for host in hosts}
        self._origins = {origin.lower() for origin in origins}
        self._probes = frozenset(probes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = None
        if scope["type"] == "http" and scope["path"] not in self._probes:
            why = self._objection(Headers(scope=scope), scope["method"])
        if why is None:
            await self.app(scope, receive, send)
        else:
            await refusal(403, why)(scope, receive, send)

    def _objection(self, headers: Headers, method: str) -> str | None:
        """Why the request is refused."""
        hosts = headers.getlist("host")
        parts = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if parts is None:
            return "the request must have one valid header Host"
        name, port = parts[1].lower().removesuffix("."), parts[2]
        if not (name in self._hosts or _is_local(name) or _is_address(name)):
            return (
                f"this service does not answer to the name {name}: if it is yours, add it to"
                " serve.hosts"
            )
        origin = headers.get("origin")
        if method in _READING or origin is None or self._may_call(origin.lower(), name, port):
            return None
        return (
            f"pages of {origin} may not use this service: if they are yours, add this origin to"
            " serve.origins"
        )

    def _may_call(self, origin: str, name: str, port: str | None) -> bool:
        if origin in self._origins:
            return True
        scheme, _, authority = origin.partition("://")
        parts = _HOST.fullmatch(authority)
        if parts is None or scheme not in _PORTS:
            return False
        usual = _PORTS[scheme]  # a proxy may end TLS, so the scheme is the origin's
        return (parts[1].removesuffix("."), parts[2] or usual) == (name, port or usual)


def cross_origin(origins: Collection[str]) -> dict[str, Any]:
    """The options of starlette's ``CORSMiddleware`` for pages of ``origins``.

    There are no cookies, so a page of another origin has only the key that its user gave it.
    """
    return {
        "allow_origins": [origin.lower() for origin in origins],
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["Authorization", "X-API-Key", HEADER],
        "expose_headers": ["Retry-After", "WWW-Authenticate", HEADER],
    }


def _is_local(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")  # RFC 6761: never another machine


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
