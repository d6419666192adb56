"""What every request passes before the API answers it, from the outside in."""

from __future__ import annotations

import os
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bento.guard import BodyGuard, OneMessage
from bento.keys import Keys, keys_in
from bento.logs import RequestLog
from bento.origins import Origins, cross_origin
from bento.web import Web
from components import config

PROBES = ("/livez", "/readyz", "/health")
"""Addresses that tell whether the service is well. They need no key, and no name of the host."""
REFERENCE = (
    "/docs.json",
    *(
        f"/static_content/swagger-{name}"
        for name in ("ui.css", "ui-bundle.js", "ui-standalone-preset.js", "initializer.js")
    ),
)
"""What the page `/docs` loads: the OpenAPI text, and BentoML's files that show it."""


class Prefix:
    """Takes the prefix from the paths that have it. Other paths pass as they are, so that probes on
    the same machine need not know it."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == self._prefix and scope.get("method") in ("GET", "HEAD"):
            # relative, as all addresses of the page: it needs the slash, whatever a proxy adds
            to = f"{path.rpartition('/')[2]}/"
            if query := scope["query_string"].decode("latin-1"):
                to = f"{to}?{query}"
            await RedirectResponse(to)(scope, receive, send)
            return
        if path.startswith(f"{self._prefix}/"):
            scope = {**scope, "path": path.removeprefix(self._prefix)}
        await self.app(scope, receive, send)


def guarded(service: Any, web: Web, serve: config.Serve) -> Any:
    """``service`` with the routes of ``web``, behind logs, keys and limits.

    Raises :class:`EidolonError` when the keys in the environment are malformed.
    """
    add = service.add_asgi_middleware
    if serve.path_prefix:
        add(Prefix, prefix=serve.path_prefix)
    add(RequestLog, routes=web.routes)
    add(OneMessage)
    if serve.origins:
        add(CORSMiddleware, **cross_origin(serve.origins))
    add(Origins, hosts=serve.hosts, origins=serve.origins, probes=PROBES)
    public = [*PROBES, *REFERENCE, *web.pages]
    add(Keys, keys=keys_in(os.environ), public=public, per_minute=serve.requests_per_minute)
    add(
        BodyGuard,
        uploads=["/similar"],
        upload_bytes=serve.upload_bytes,
        seconds=serve.body_seconds,
    )
    service.mount_asgi_app(web.app)
    return service
