"""Sockets of this checkout's services, for those who operate them."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from ops.environment import HOME


def socket_file(name: str) -> Path:
    """Where the service ``name`` listens. Linux limits the path of a socket to 107 bytes, so a
    socket with a long path lies in /tmp."""
    file = HOME / f"{name}.sock"
    if len(str(file)) < 90:
        return file
    digest = hashlib.sha256(str(HOME).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"eidolon-{name}-{digest}.sock"
