"""What the gate compares a version with: the champion, or what stands in for one that somebody
deleted, and the best version so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components import config
from components.errors import EidolonError
from components.files import read_json, scratch
from ops import release
from ops.environment import DOWNLOADS
from ops.stage import Log


@contextmanager
def contenders(version: str, champion: str | None, log: Log) -> Iterator[Any]:
    """The challenger, what it is compared with, and the best version so far, each with its bundle.

    A champion of another dataset is not compared with. Without a champion, what is deployed is, or
    else a version that once was the champion.
    """
    from components.lifecycle import registry
    from components.lifecycle.contenders import Contender
    from components.lifecycle.reference import reference, trained

    with scratch(DOWNLOADS) as folder:

        def registered(number: str) -> Contender:
            place = folder / number
            place.mkdir(exist_ok=True)
            bundle = registry.download(number, place)
            models = None if number == version else _models(bundle, log)
            return Contender(f"version {number}", bundle, models)

        before, best, against = None, None, champion
        if champion is not None:
            found = reference(trained(version), config.load().inspect.max_lost)
            if found.version is None:
                log(found.sentence)
                against = None
        else:
            before = _deployed(log)
            against = None if before else _was_champion(version)
            if before or against:
                compared = before.name if before else f"version {against}"
                log(f"there is no champion: compared with {compared}")
        if against is not None:
            before, leader = registered(against), registry.version_of(registry.BEST)
            if leader not in (None, against, version):
                best = registered(str(leader))
        yield registered(version), before, best


def _models(bundle: Path, log: Log) -> dict[str, Path] | None:
    """Where BentoML's store has the models of a version that was made with others than today's. A
    damaged bundle is for the gate to refuse."""
    from components.serving.made_with import made_with

    try:
        then = read_json(bundle / "bundle.json", "register the version again")["models"]
        now = made_with(config.load())
        if all(_content(then[part]) == _content(now[part]) for part in now):
            return None
        return release.models(bundle, log)
    except (EidolonError, KeyError, TypeError) as error:
        log(f"{bundle}: its models are not known ({error})")
        return None


def _content(fingerprint: Any) -> str:
    """The part of a fingerprint that tells the content, wherever its folder is."""
    return str(fingerprint).rpartition("@")[2]


def _deployed(log: Log) -> Any:
    """What is deployed, to be compared with, or ``None`` if it is gone or nothing is deployed."""
    from components.lifecycle.contenders import Contender

    live = release.deployed()
    if live is None:
        return None
    try:
        models = release.folders(str(live["bento"]), log)
    except EidolonError as error:
        log(str(error))
        return None
    return Contender(f"{live['bento']}, which is deployed", models["bundle"], models)


def _was_champion(version: str) -> str | None:
    """The version that was the champion before, or the best one so far, unless ``version`` is of
    another dataset."""
    from components.lifecycle import registry
    from components.lifecycle.reference import trained

    now, lost = trained(version), config.load().inspect.max_lost
    for number in map(registry.version_of, (registry.PREVIOUS, registry.BEST)):
        if number not in (None, version):
            before = trained(str(number))
            if now is None or before is None or now.follows(before, lost):
                return number
    return None
