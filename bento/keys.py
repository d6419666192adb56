"""Who may use the service: API keys from the environment, and how often each caller may ask.

The keys are secrets, so they are in no file of the project and in no Bento. A process keeps their
hashes only. It compares hashes, each time with all of them, so that the time tells nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento.guard import refusal
from bento.logs import noted
from components.errors import EidolonError

VARIABLE = "EIDOLON_API_KEYS"
"""The environment variable with the keys: `name:key,name:key`."""

MIN_KEY, MAX_KEY = 16, 256  # characters
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(rf"[!-+\--~]{{{MIN_KEY},{MAX_KEY}}}")  # printable ASCII without the comma
_REMEMBERED = 10_000  # callers whose requests are counted, the latest ones


def keys_in(environment: Mapping[str, str]) -> dict[str, bytes]:
    """The SHA-256 of each key in the variable, by the name of the key; nothing where it is not set.

    Raises :class:`EidolonError`, which never shows a key, for a variable of another form.
    """
    if VARIABLE not in environment:
        return {}
    remedy = (
        f"write {VARIABLE}=name:key,name:key, with keys of {MIN_KEY} to {MAX_KEY} visible ASCII"
        " characters without a comma, or unset it for a service without keys"
    )
    keys: dict[str, bytes] = {}
    for place, entry in enumerate(environment[VARIABLE].split(","), 1):
        name, _, key = entry.strip().partition(":")
        if not _NAME.fullmatch(name) or not _KEY.fullmatch(key):
            raise EidolonError(f"entry {place} of {VARIABLE} is malformed: {remedy}")
        digest = _digest(key)
        if name in keys or digest in keys.values():
            raise EidolonError(
                f"entry {place} of {VARIABLE} has a name or key of another: {remedy}"
            )
        keys[name] = digest
    return keys


class Keys:
    """Refuses who has no key (401), and who asks too often (429).

    The name of the key, never the key, goes into the log. What was answered to a key is marked
    `private`, so that no cache between gives it to another caller.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Mapping[str, bytes],
        public: Collection[str],
        per_minute: float | None,
    ) -> None:
        """Without ``keys`` (:func:`keys_in`) everybody may use everything. With them, only what can
        be read at the paths ``public`` needs none.

        ``per_minute`` limits the requests that compute something, which are those by POST: for each
        key, or for each address where there are no keys.
        """
        self.app = app
        self._keys, self._public = dict(keys), frozenset(public)
        self._allowance = Allowance(per_minute) if per_minute is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_public(scope):
            await self.app(scope, receive, send)
            return
        caller = _address(scope)
        if self._keys:
            presented = _presented(Headers(scope=scope))
            name = None if presented is None else self._name_of(presented)
            if name is None:
                await _unknown(presented is None)(scope, receive, send)
                return
            noted().key = caller = name
            send = _privately(send)
        if self._allowance is not None and scope["method"] == "POST":
            wait = self._allowance.take(caller, time.monotonic())
            if wait > 0:
                later = {"Retry-After": str(math.ceil(wait))}
                many = f"too many requests: at most {self._allowance.per_minute:g} in a minute"
                await refusal(429, many, later)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_public(self, scope: Scope) -> bool:
        return scope["method"] in ("GET", "HEAD") and scope["path"] in self._public

    def _name_of(self, presented: str) -> str | None:
        digest, found = _digest(presented), None
        for name, known in self._keys.items():
            if hmac.compare_digest(digest, known):
                found = name  # and go on: the time must not tell which one it was
        return found


class Allowance:
    """A bucket of tokens for each caller: a minute's worth at most, refilled all the time."""

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float) -> float:
        """Take a token, and return 0; or the seconds until there is one. ``now`` is in seconds."""
        full = max(1.0, self.per_minute)
        tokens, then = self._buckets.pop(caller, (full, now))
        tokens = min(full, tokens + (now - then) * self.per_minute / 60)
        wait = 0.0 if tokens >= 1 else (1 - tokens) * 60 / self.per_minute
        self._buckets[caller] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return wait


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _presented(headers: Headers) -> str | None:
    """The key that a request brings, in one of two headers."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _unknown(missing: bool) -> ASGIApp:
    why = "this needs an API key" if missing else "this API key is not known"
    challenge = 'Bearer realm="eidolon"' + ("" if missing else ', error="invalid_token"')
    remedy = "send the header Authorization: Bearer KEY"
    return refusal(401, f"{why}: {remedy}", {"WWW-Authenticate": challenge})


def _privately(send: Send) -> Send:
    """Send answers that only the caller's own cache may keep."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["cache-control"] = ", ".join(["private", *headers.getlist("cache-control")])
        await send(message)

    return marked


def _address(scope: Scope) -> str:
    """The caller's address; for IPv6 the network of 64 bits that a provider gives to one caller."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((int(address), 64), strict=False))
    return str(address)
