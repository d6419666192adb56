"""What the gate compares a version with: the champion, or what stands in for one that somebody
deleted, and the best version so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from components import config
from components.errors import EidolonError
from components.files import scratch
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
            return Contender(f"version {number}", bundle, cache(partial(_stored, bundle, log)))

        before, best, against = None, None, None
        now, lost = trained(version), config.load().inspect.max_lost
        if champion is not None:
            found = reference(now, lost)
            against = found.version
            if against is None:
                log(found.sentence)
        else:
            before = _deployed(log)
            if before is None:
                once = (registry.PREVIOUS, registry.BEST)
                others = (reference(now, lost, alias).version for alias in once)
                against = next((one for one in others if one not in (None, version)), None)
            if before or against:
                compared = before.name if before else f"version {against}"
                log(f"there is no champion: compared with {compared}")
        if against is not None:
            before, leader = registered(against), registry.version_of(registry.BEST)
            if leader not in (None, against, version):
                best = registered(str(leader))
        yield registered(version), before, best


def _stored(bundle: Path, log: Log) -> dict[str, Path]:
    """Where BentoML's store has the models of ``bundle``; nothing where it cannot tell."""
    try:
        return release.models(bundle, log)
    except (EidolonError, release.ReleaseError) as error:
        log(str(error))
        return {}


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
    return Contender(f"{live['bento']}, which is deployed", models["bundle"], lambda: models)
