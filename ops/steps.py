"""What the tasks of the DAG `retrain` do, without Airflow.

Each step takes and gives small values (ids, tags, sentences), so that any of them can be tried
again by itself. The order, and what happens when one fails, is the DAG's business.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components import config
from components.errors import EidolonError
from ops import release
from ops import stage as stages
from ops.environment import HOME
from ops.services import ENDPOINT, LOGS, Supervisor, current, healthy
from ops.stage import Log

PATIENCE = 180.0  # seconds until the endpoint must serve what was deployed


class NothingToDo(Exception):  # noqa: N818 - not an error
    """A step is not needed, or not allowed: it and what follows are skipped. Says why."""


def stage(name: str, log: Log) -> dict[str, Any]:
    """Bring one stage of dvc.yaml up to date."""
    config.load()  # an unknown or absurd parameter stops the run before anything is computed
    return asdict(stages.repro(name, log))


def register(log: Log) -> dict[str, Any]:
    """Register the bundle in MLflow as `challenger`."""
    from components import registry

    found = registry.register(config.load())
    log(f"version {found.version} {'registered' if found.created else 'was registered before'}")
    return asdict(found)


def gate(version: str, log: Log) -> dict[str, Any]:
    """Let ``version`` pass, or raise :class:`NothingToDo` with the reason why it may not."""
    from components import registry
    from components.gate import compare

    champion = registry.by_alias(registry.CHAMPION)
    if champion is not None and str(champion.version) == version:
        reason = f"unchanged: version {version} is the champion"
    else:
        if registry.rolled_back(version):
            raise NothingToDo(
                f"version {version} was rolled back: `eidolon promote {version}` lifts that"
            )
        before = registry.metrics_of(str(champion.version)) if champion else None
        verdict = compare(registry.metrics_of(version), before, config.load().gate)
        reason = verdict.reason
        if not verdict.passed:
            raise NothingToDo(f"version {version} is not promoted: {reason}")
    log(reason)
    return {"version": version, "reason": reason}


def build(version: str, log: Log) -> dict[str, Any]:
    """Build the Bento of ``version`` from the bundle as it was registered."""
    from components import registry

    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="bundle-") as folder:
        built = release.build(registry.download(version, Path(folder)), version, log)
    return {"version": version, "tag": built["tag"], "built": built["built"]}


def check(version: str, tag: str, log: Log) -> dict[str, Any]:
    """Ask ``tag`` golden queries, or raise :class:`NothingToDo` when it is live already."""
    from components import registry

    champion, deployed = registry.by_alias(registry.CHAMPION), release.deployed()
    if (
        champion is not None
        and str(champion.version) == version
        and deployed is not None
        and (deployed["bento"], str(deployed["version"])) == (tag, version)
    ):
        raise NothingToDo(f"{tag} is live already")
    return release.check(tag, config.load().serve.golden_queries, log)


def promote(version: str, log: Log) -> None:
    """Move the alias `champion` to ``version``."""
    from components import registry

    registry.promote(version)
    log(f"version {version} is the champion")


def deploy(version: str, tag: str, log: Log) -> dict[str, Any]:
    """Point the endpoint at ``tag``; where `make up` runs it, start it anew and wait for it."""
    pointer = release.deploy(tag, version, log)
    supervisor = Supervisor()
    if ENDPOINT in (supervisor.states() or {}):
        supervisor.restart(ENDPOINT)
        endpoint, deadline = current()[ENDPOINT], time.monotonic() + PATIENCE
        while not healthy(endpoint):
            if time.monotonic() > deadline:
                raise release.ReleaseError(f"the endpoint does not come up: see {LOGS}")
            time.sleep(0.5)
        log(f"the endpoint serves {tag}")
    return pointer


def follow_champion(log: Log) -> dict[str, Any]:
    """Deploy what the alias `champion` names: after a roll-back, or after a lost deployment."""
    from components import registry

    champion = registry.by_alias(registry.CHAMPION)
    if champion is None:
        raise EidolonError("no version is the champion yet: `make run` trains and promotes one")
    version = str(champion.version)
    tag = build(version, log)["tag"]
    try:
        check(version, tag, log)
    except NothingToDo as reason:
        log(str(reason))
        return {"bento": tag, "version": version}
    return deploy(version, tag, log)
