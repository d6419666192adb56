"""A Bento served in a process of its own, from an empty folder: only its own code can be found."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from components.errors import EidolonError
from components.ports import obstacle
from components.processes import end, family
from components.variables import of_endpoint

STOP_SECONDS = 20.0
PORTS = range(20_000, 32_768)
GAVE_UP = "Application startup failed"  # uvicorn's words; the supervisor would try for ever


class NotServedError(Exception):
    """The Bento did not become ready."""


def command(tag: str, host: str, port: int) -> list[str]:
    """The command that serves ``tag``."""
    serve = [sys.executable, "-m", "bentoml", "serve", tag]
    return [*serve, "--host", host, "--port", str(port)]


def environment() -> dict[str, str]:
    """What the server gets of this environment: nothing that leads beyond its Bento, and no key."""
    return of_endpoint(os.environ) | {"HF_HUB_OFFLINE": "1", "BENTOML_DO_NOT_TRACK": "True"}


def free_port() -> int:
    """A loopback port that nothing listens on.

    It is none of those that Linux gives to whoever asks for any: one of these could be given away
    before the server listens.
    """
    while True:
        port = random.SystemRandom().choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def check_port(host: str, port: int) -> None:
    """Raise :class:`EidolonError` when the port cannot be listened on."""
    if (why := obstacle(host, port)) is not None:
        raise EidolonError(
            f"cannot listen on {host}:{port} ({why}): stop what listens there, "
            "or choose another port with --port"
        )


@contextmanager
def served(tag: str, folder: Path, log: Path, timeout: float) -> Iterator[str]:
    """Serve ``tag`` aside from the empty ``folder`` and yield its base URL once it is ready.

    Everything that was started is gone when the block ends. Raises :class:`NotServedError`.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(tag, "127.0.0.1", port),
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, url, timeout, log)
        yield url
    finally:
        end(family(process.pid), STOP_SECONDS)  # its workers lead sessions of their own
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, timeout: float, log: Path) -> None:
    how = "was not ready in time"
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None or GAVE_UP in log.read_text(errors="replace"):
            how = "did not start"
            break
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.2)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise NotServedError(f"the server {how}; its last lines:\n{tail}")
