"""Exchanges the Bento that the endpoint serves, without losing a request.

The new Bento starts in the place that is not live (:mod:`ops.places`). Once it answers rightly
there, the pointer that the proxy reads (:mod:`ops.proxy`) is replaced. The Bento that was live
before stays loaded, so that going back takes a second, or it is stopped when it has answered all
that it was asked. Whatever fails before the pointer moves leaves it as it was. Every step can be
repeated, so a deployment that was killed is completed by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bento import pointer
from components import config
from components.locks import BusyError
from ops import release
from ops.environment import HOME, environment, ports
from ops.lock import one_at_a_time
from ops.places import NAMES, Place, end_trial, health, places, program
from ops.proxy import status_socket
from ops.release import ReleaseError
from ops.services import ENDPOINT, Supervisor
from ops.stage import Log

PATIENCE = 300.0  # seconds until a new Bento must be ready
ANSWERING = 30.0  # seconds until the endpoint must serve what the pointer names
LEAST = 2.0  # seconds that a Bento is kept after it was live, at least
PAUSE = 0.1


def deploy(
    tag: str, version: str, log: Log, wanted: Callable[[], bool] = lambda: True
) -> dict[str, Any] | None:
    """Serve the Bento ``tag`` of ``version`` at the endpoint, and return the pointer. Without
    `make up` only the pointer is moved, and `make serve` serves it next.

    ``wanted`` is asked right before the pointer moves: a Bento takes a while to start, and somebody
    may have gone back meanwhile. Then the result is ``None``, and the pointer is as before. Raises
    :class:`ReleaseError` when the new Bento does not start or answers wrongly. The pointer is then
    as before, too.
    """
    with one_at_a_time("deploy"):
        if not runs():
            return release.deploy(tag, version, log) if wanted() else None
        Supervisor().start(ENDPOINT)
        _trust_live()
        place = _warm("bento", tag)
        if place is None:
            place = aside(tag, int(version), log)
        else:
            log(f"{tag} is loaded already")
        if not wanted():
            return None
        moved = _move(place, log)
        settle(log)
        return moved


def go_back(version: str) -> bool:
    """Serve ``version`` from a place where it is still loaded. Whether there is one: if not,
    nothing has changed, and :func:`deploy` must start it."""
    try:
        with one_at_a_time("deploy", wait=False):
            if not runs():
                return False
            _trust_live()
            place = _warm("version", int(version))
            if place is None:
                return False
            Supervisor().start(ENDPOINT)
            _move(place, print)
            settle(print)
            return True
    except BusyError:
        return False  # a deployment is in progress, and it uses the place


def is_live(tag: str, version: str) -> bool:
    """Whether ``tag`` of ``version`` is deployed; while `make up` runs, whether the endpoint really
    answers from it."""
    found = served()
    return found is not None and (found["bento"], str(found["version"])) == (tag, version)


def served() -> dict[str, Any] | None:
    """The ``bento`` and the ``version`` that are deployed; while `make up` runs, those from which
    the endpoint really answers."""
    return live() if runs() else release.deployed()


def live() -> dict[str, Any] | None:
    """What the endpoint of `make up` serves, as it says itself: ``bento``, ``version`` and
    ``digest``. ``None`` when it does not answer, or not from what the pointer names."""
    told, said = _asked_proxy(), health(f"http://127.0.0.1:{ports(environment()).endpoint}")
    named = told and told["pointer"]
    if not named or said is None or said["bundle"]["version"] != named["version"]:
        return None
    return {"bento": named["bento"], **said["bundle"]}


def runs() -> bool:
    """Whether `make up` runs here."""
    return ENDPOINT in (Supervisor().states() or {})


def prepare() -> str | None:
    """Before `make up` starts: give what is deployed a place and a port that is free now. Returns
    the program that serves it, or ``None`` when nothing is deployed."""
    with one_at_a_time("deploy"):
        before = release.deployed()
        name = (before or {}).get("place") or NAMES[0]
        digest = (Place(name).held or {}).get("digest")
        for place in places():
            place.empty()
        end_trial()
        if before is None:
            return None
        place = Place(name)
        place.hold(before["bento"], before["version"], digest)
        _point(place)
        return program(name)


def live_program() -> str:
    """The program that serves what is deployed; empty when nothing is."""
    name = (release.deployed() or {}).get("place")
    return program(name) if name else ""


def describe() -> list[str]:
    """What is served where, as lines for a person."""
    found, lines = release.deployed() or {}, []
    for place in places():
        if (here := place.held) is None:
            continue
        role = "live" if found.get("place") == place.name else "warm" if place.ready() else "aside"
        since = found["deployed_at"] if role == "live" else here["since"]
        lines.append(
            f"{role:<9} version {here['version']} ({here['bento']}) in place {place.name}, "
            f"port {here['port']}, since {since}"
        )
    return lines


def aside(tag: str, version: int, log: Log, *, apart: bool = False) -> Place:
    """The place that is not live, once ``tag`` answers rightly there. A trial in it ends. The
    caller holds the lock of deployments."""
    place = _not_live()
    name = program(place.name)
    try:
        here = place.held or {}
        if (here.get("bento"), here.get("apart")) != (tag, apart):
            _stop(place, log)
            place.hold(tag, version, apart=apart)
        end_trial()
        Supervisor().start(name)
        log(f"starting {tag} in place {place.name}")
        _wait_ready(place)
        place.trust(release.verify(tag, str(version), place.url, log)["digest"])
    except BaseException as error:
        _end(place)
        if isinstance(error, ReleaseError):
            raise ReleaseError(
                f"{tag} is not deployed, and what was live stays: {error}; see {place.log}"
            ) from None
        raise
    return place


def _wait_ready(place: Place) -> None:
    from bento.server import GAVE_UP

    began, size = time.monotonic(), _size(place.log)
    while time.monotonic() - began < PATIENCE:
        said = place.health()
        if said is not None and said["imaginer"] == "up":
            return
        if (Supervisor().states() or {}).get(program(place.name)) == "FATAL":
            raise ReleaseError("it does not start")
        if GAVE_UP in _since(place.log, size):
            raise ReleaseError("it gives up while it starts")
        time.sleep(PAUSE)
    raise ReleaseError(f"it is not ready after {PATIENCE:.0f} s")


def _move(place: Place, log: Log) -> dict[str, Any]:
    """Point to ``place``, and wait until the endpoint answers from it. If it does not, point to
    what was there before."""
    before = release.deployed()
    end_trial()  # what was on trial is live now, or was compared with another
    value = _point(place)
    deadline = time.monotonic() + ANSWERING
    while time.monotonic() < deadline:
        told, found = _asked_proxy(), live()
        if told and told["pointer"] == value and found and found["bento"] == value["bento"]:
            log(f"the endpoint serves {value['bento']}")
            return value
        time.sleep(PAUSE)
    if before is not None and before != value:
        pointer.put_back(before, HOME)
    raise ReleaseError(f"the endpoint does not answer from {value['bento']}: see {HOME / 'logs'}")


def _point(place: Place) -> dict[str, Any]:
    here = place.held
    assert here is not None
    return pointer.deploy(here["bento"], here["version"], place.name, here["port"], HOME)


def settle(log: Log) -> None:
    """Keep the Bento that was live before, or stop it. The caller holds the lock of
    deployments."""
    found = release.deployed() or {}
    other, previous = _not_live(), found.get("previous")
    here = other.held
    wanted = here is not None and here["bento"] == previous and config.load().serve.keep_warm
    if wanted and other.ready():
        log(f"{previous} stays loaded in place {other.name}")
    else:
        _stop(other, log)


def _stop(place: Place, log: Log) -> None:
    """Stop the Bento in ``place`` when nothing is in flight to it, and at the latest when the
    longest request must have ended."""
    here = place.held
    if here is not None and _state(place) == "RUNNING":
        log(f"{here['bento']} ends in place {place.name} when all its requests are answered")
        deadline = time.monotonic() + config.load().serve.timeout_seconds
        time.sleep(max(0.0, LEAST - _age(pointer.place(HOME))))
        while _flying(here["port"]) and time.monotonic() < deadline:
            time.sleep(PAUSE)
    _end(place)


def _end(place: Place) -> None:
    Supervisor().stop(program(place.name))
    place.end_leftovers()
    place.empty()


def _trust_live() -> None:
    """Trust what `make up` started because it was deployed, once it answers."""
    found = release.deployed() or {}
    for place in places():
        here = place.held
        if here is not None and here["digest"] is None and found.get("place") == place.name:
            said = place.health()
            if said is not None and said["bundle"]["version"] == here["version"]:
                place.trust(said["bundle"]["digest"])


def _warm(field: str, value: Any) -> Place | None:
    """A place where the Bento whose ``field`` has this value is loaded and answers."""
    for place in places():
        here = place.held
        if here is not None and here[field] == value and not here["apart"] and place.ready():
            return place
    return None


def _not_live() -> Place:
    live_at = (release.deployed() or {}).get("place")
    return next(place for place in places() if place.name != live_at)


def _state(place: Place) -> str | None:
    return (Supervisor().states() or {}).get(program(place.name))


def _flying(port: int) -> int:
    told = _asked_proxy()
    return int(told["in_flight"].get(str(port), 0)) if told else 0


def _asked_proxy() -> dict[str, Any] | None:
    """What the proxy tells of itself, or ``None`` when it does not run."""
    transport = httpx.HTTPTransport(uds=str(status_socket()))
    try:
        with httpx.Client(transport=transport, timeout=5, trust_env=False) as client:
            told: dict[str, Any] = client.get("http://proxy/").json()
    except (httpx.TransportError, ValueError):
        return None
    return told


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime if file.exists() else LEAST


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _since(file: Path, size: int) -> str:
    """What was written to a log since it had ``size`` bytes; all of it if it began anew."""
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(size if _size(file) >= size else 0)
        return log.read().decode(errors="replace")
