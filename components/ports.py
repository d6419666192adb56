"""Ports of this machine: whether a server can listen on one, and finding one that is free."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

PORTS = range(20_000, 32_768)


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


def free_port() -> int:
    """A loopback port that nothing listens on.

    It lies outside the range from which Linux serves a request for any port. A port in that range
    could be given away before the server listens.
    """
    while True:
        port = random.SystemRandom().choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
