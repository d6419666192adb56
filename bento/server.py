"""A Bento in a process of its own. It runs in an empty folder, so it finds only its own code."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from bento.homes import eidolon_home
from bento.keys import VARIABLE as KEYS
from components.errors import EidolonError
from components.ports import free_port, obstacle
from components.processes import end, family
from components.variables import of_endpoint

STOP_SECONDS = 20.0
GAVE_UP = "Application startup failed"  # uvicorn says so; BentoML would try again for ever


class NotServedError(Exception):
    """The Bento did not become ready."""


def command(tag: str, host: str, port: int) -> list[str]:
    """The command that serves ``tag``."""
    serve = [sys.executable, "-m", "bentoml", "serve", tag]
    return [*serve, "--host", host, "--port", str(port)]


def environment() -> dict[str, str]:
    """The variables that the server gets: none that leads out of its Bento, and no key.

    BENTOML_NO_UDS would replace the private socket between the two services by an open port.
    """
    own = {"HF_HUB_OFFLINE": "1", "BENTOML_DO_NOT_TRACK": "True"}
    return {k: v for k, v in of_endpoint(os.environ).items() if k != "BENTOML_NO_UDS"} | own


def check_port(host: str, port: int) -> None:
    """Raise :class:`EidolonError` when the port cannot be listened on."""
    if (why := obstacle(host, port)) is not None:
        raise EidolonError(
            f"cannot listen on {host}:{port} ({why}): stop what listens there, "
            "or choose another port with --port"
        )


@contextmanager
def served(tag: str, place: Path, timeout: float, keys: str | None = None) -> Iterator[str]:
    """Serve ``tag`` from the existing folder ``place``, and yield its base URL once it is ready and
    can draw.

    It remembers and records in ``place``, so it shares nothing with the live service. It asks for
    one of ``keys`` (:func:`bento.keys.keys_in`), by default for none. Its working directory is
    ``place/empty``, and ``place/log`` has what it printed.

    All processes of the server are gone when the block ends. Raises :class:`NotServedError` when
    it is not ready within ``timeout`` seconds.
    """
    folder, log = place / "empty", place / "log"
    folder.mkdir()
    apart = {k: v for k, v in environment().items() if k != KEYS}
    apart |= {"EIDOLON_HOME": str(place), "BENTOML_HOME": str(home_apart(place))}
    if keys is not None:
        apart[KEYS] = keys
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(tag, "127.0.0.1", port),
            cwd=folder,
            env=apart,
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


def home_apart(place: Path) -> Path:
    """A home of BentoML in ``place`` with the same Bentos and models. A server clears the folder of
    metrics in its home when it starts, and those of another server would be lost.

    ``place`` also gets this machine's own copy of shared thumbnails: there is one."""
    home = place / "bentoml"
    home.mkdir(parents=True, exist_ok=True)
    links = {home / part: Path(os.environ["BENTOML_HOME"]) / part for part in ("bentos", "models")}
    thumbnails = eidolon_home() / "thumbnails"
    thumbnails.mkdir(parents=True, exist_ok=True)
    for link, target in (links | {place / "thumbnails": thumbnails}).items():
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return home


def _wait(process: subprocess.Popen[bytes], url: str, timeout: float, log: Path) -> None:
    how = "was not ready in time"
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None or GAVE_UP in log.read_text(errors="replace"):
            how = "did not start"
            break
        with suppress(httpx.TransportError):
            health = httpx.get(f"{url}/health", timeout=5, trust_env=False)
            if health.status_code == 200 and health.json()["imaginer"] == "up":
                return
        time.sleep(0.2)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise NotServedError(f"the server {how}; its last lines:\n{tail}")
