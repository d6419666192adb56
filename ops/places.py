"""The two places of `make up` in which a Bento is served: one is live, the other new or warm.

Each is a program of supervisord, `bento-a` and `bento-b`. The file `.eidolon/places/a.json` says
which Bento is served there and on which port. `.eidolon/places/a/` is the place's home of BentoML,
because a server clears the metrics of another one in the same home. The memory of texts and the
journal are shared.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from components.files import read_json, write_json
from components.ports import free_port
from components.processes import end, environment_of
from ops.environment import HOME

NAMES = ("a", "b")
MARK = "EIDOLON_PLACE"  # an environment variable that every process of a place inherits
CANARY = HOME / "canary.json"  # which place has a challenger on trial: see ops.canary
TRIALS = HOME / "canary"  # what was seen in trials, and the files of those that have ended
_LOOK = 5.0  # seconds for one question


def program(name: str) -> str:
    """The program of supervisord that serves the place ``name``."""
    return f"bento-{name}"


def folder_of(name: str) -> Path:
    """The folder of the place ``name``."""
    return HOME / "places" / name


@dataclass(frozen=True)
class Place:
    """The place ``name``."""

    name: str

    @property
    def file(self) -> Path:
        """The file that says what is served here."""
        return folder_of(self.name).with_suffix(".json")

    @property
    def log(self) -> Path:
        """The log of its server."""
        return HOME / "logs" / f"{program(self.name)}.log"

    @property
    def held(self) -> dict[str, Any] | None:
        """What is served here: ``bento``, ``version``, ``port``, ``since``, ``apart``, and
        ``digest`` of its bundle once it was seen to answer rightly. ``None`` when nothing is."""
        if not self.file.exists():
            return None
        value: dict[str, Any] = read_json(self.file, "`eidolon deploy` writes it again")
        return value

    @property
    def url(self) -> str:
        """Where its Bento answers."""
        held = self.held
        assert held is not None
        return f"http://127.0.0.1:{held['port']}"

    def hold(
        self, tag: str, version: int, digest: str | None = None, *, apart: bool = False
    ) -> None:
        """Say that ``tag`` is to be served here, on a free port. ``apart``: with a memory of texts
        and a journal of its own."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        held = {"bento": tag, "version": version, "port": free_port(), "since": now}
        write_json(self.file, held | {"digest": digest, "apart": apart})

    def trust(self, digest: str) -> None:
        """Note that the Bento here was seen to answer rightly, from the bundle ``digest``."""
        write_json(self.file, (self.held or {}) | {"digest": digest})

    def empty(self) -> None:
        """Say that nothing is served here."""
        self.file.unlink(missing_ok=True)

    def health(self) -> dict[str, Any] | None:
        """What its Bento says of itself, or ``None`` when it does not answer."""
        held = self.held
        return None if held is None else health(self.url)

    def ready(self) -> bool:
        """Whether the Bento here answers, from the bundle that it was seen to have."""
        held, said = self.held, self.health()
        if held is None or said is None or held["digest"] is None:
            return False
        expected = {"version": held["version"], "digest": held["digest"]}
        return bool(said["bundle"] == expected)

    def end_leftovers(self) -> None:
        """End the processes that a killed server left: its workers would go on listening."""
        mark, left = f"{MARK}={folder_of(self.name)}", []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and mark in environment_of(process):
                    left.append(process)
        end(left)


def places() -> list[Place]:
    """Both places."""
    return [Place(name) for name in NAMES]


def end_trial() -> None:
    """Send nobody to the challenger any more. The file of the trial goes to where
    :func:`ops.canary.keep` finds it. Raises :class:`EidolonError` when it is damaged."""
    if CANARY.exists():
        version = read_json(CANARY, "delete it")["version"]
        TRIALS.mkdir(mode=0o700, exist_ok=True)
        CANARY.replace(TRIALS / f"{version}.json")


def health(url: str) -> dict[str, Any] | None:
    """What the Bento at ``url`` says of itself: ``bundle``, with ``version`` and ``digest``, and
    ``imaginer``. ``None`` when it does not answer."""
    try:
        reply = httpx.get(f"{url}/health", timeout=_LOOK, trust_env=False)
        said: dict[str, Any] = reply.json()
    except (httpx.TransportError, ValueError):
        return None
    return said if reply.status_code == 200 and "bundle" in said else None
