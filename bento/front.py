"""What every request passes before the API answers it, from the outside in."""

from __future__ import annotations

import os
from typing import Any

from starlette.middleware.cors import CORSMiddleware

from bento.guard import BodyGuard, OneMessage
from bento.keys import Keys, keys_in
from bento.logs import RequestLog
from bento.origins import Origins, cross_origin
from bento.web import Web
from components import config

PROBES = ("/livez", "/readyz", "/health")
"""Addresses that tell whether the service is well. They need no key, and no name of the host."""


def guarded(service: Any, web: Web, serve: config.Serve) -> Any:
    """``service`` with the routes of ``web``, behind logs, keys and limits.

    Raises :class:`EidolonError` when the keys in the environment are malformed.
    """
    prefix = serve.path_prefix
    probes = [f"{prefix}{path}" for path in PROBES]
    public = [*probes, *(f"{prefix}{path}" for path in (*web.pages, "/docs.json"))]
    add = service.add_asgi_middleware
    add(RequestLog, routes=web.routes, prefix=prefix)
    add(OneMessage)
    if serve.origins:
        add(CORSMiddleware, **cross_origin(serve.origins))
    add(Origins, hosts=serve.hosts, origins=serve.origins, probes=probes)
    add(Keys, keys=keys_in(os.environ), public=public, per_minute=serve.requests_per_minute)
    add(
        BodyGuard,
        uploads=[f"{prefix}/similar"],
        upload_bytes=serve.upload_bytes,
        seconds=serve.body_seconds,
    )
    service.mount_asgi_app(web.app)
    return service
