"""Whether a server can listen on a port of this machine."""

from __future__ import annotations

import socket


def obstacle(host: str, port: int) -> str | None:
    """Why nothing can listen on ``port`` of ``host`` now, in the system's words; nothing where it
    is free. A port that a server has just left counts as free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            return str(error)
    return None
