"""From a bundle to the live version: the work of the tasks of `retrain` after its stages, and of
`approve` and `deploy`, without Airflow.

A version is registered, judged, built and checked before it becomes the champion. The endpoint then
follows the champion. Each step can be tried again by itself.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from components import config
from components.errors import EidolonError
from components.files import scratch
from components.lifecycle import snapshot
from components.paths import BUNDLE, VERDICT
from ops import approval, canary, pages, release, swap, webhook
from ops.contending import contenders
from ops.environment import DOWNLOADS
from ops.stage import Log
from ops.steps import NothingToDo

BY = "the DAG retrain"


def register(run: str, log: Log) -> dict[str, Any]:
    """Push the data that the run ``run`` was trained on, then register the bundle in MLflow as
    `challenger`."""
    from components.collection import catalog
    from components.files import text_of
    from components.lifecycle import registry
    from components.versioning import dvc, lock

    pinned = snapshot.of(run)
    if pinned is not None:
        pinned.check()
    files = snapshot.HERE if pinned is None else pinned.files()
    if not registry.is_registered():
        collection = lock.collection_hash(text_of(files["pictures.dvc"]))
        with catalog.locked():  # so that every registered version can be restored
            dvc.push_version([h for h in (lock.dataset_hash(), collection) if h], log)
    found = registry.register(config.load(), files)
    log(f"version {found.version} {'registered' if found.created else 'was registered before'}")
    return asdict(found)


def gate(version: str, log: Log) -> dict[str, Any]:
    """Let ``version`` pass, or raise :class:`NothingToDo` with the reason against it.

    The result says which ``champion`` it was judged against.
    """
    from components.lifecycle import promotion, registry

    champion, live = registry.version_of(registry.CHAMPION), release.deployed()
    if champion is not None:
        promotion.note_found(champion, str(live["version"]) if live else None)
    if champion == version:
        reason = f"unchanged: version {version} is the champion"
        log(reason)
        return {"version": version, "champion": version, "reason": reason}
    tags = registry.registered(version).tags
    if registry.ROLLED_BACK in tags:
        raise _refused(
            version,
            f"version {version} was rolled back ({tags[registry.ROLLED_BACK]}):"
            f" `eidolon promote {version}` lifts that",
            log,
        )
    from components.collection import versions
    from components.lifecycle import trial
    from components.lifecycle.judging import judge  # loads torch

    versions.fetch_manifest()  # it tells which categories people gave pictures of
    with contenders(version, champion, log) as (challenger, before, best):
        verdict = judge(challenger, before, best, config.load(), VERDICT)
    registry.store_verdict(version, VERDICT, verdict)
    trial.show(version)
    log(f"the verdict: {(VERDICT / 'index.html').absolute().as_uri()}")
    if not verdict.passed:
        raise _refused(version, f"version {version} is not promoted: {verdict.reason}", log)
    log(verdict.reason)
    return {
        "version": version,
        "champion": champion,
        "reason": verdict.reason,
        "page": pages.version(version),
    }


def _refused(version: str, why: str, log: Log) -> NothingToDo:
    """The refusal of ``version``, of which people are told."""
    page = pages.version(version)
    facts = {"version": version, "refused": why, "page": page}
    webhook.tell(f"Eidolon: {why}\n{page}", facts, log)
    return NothingToDo(why)


def submit(passed: dict[str, Any], log: Log) -> None:
    """Hand a version that the gate has let pass to the DAG `approve`. Raises :class:`NothingToDo`
    for the champion itself."""
    if passed["champion"] == passed["version"]:
        raise NothingToDo(passed["reason"])
    log(
        f"version {passed['version']} waits for approval in Airflow's DAG `approve`; or run"
        f" `eidolon promote {passed['version']}`"
    )


def waiting(passed: list[dict[str, Any]], log: Log) -> dict[str, Any]:
    """The gate's result on the version that a person shall decide about, the latest of ``passed``,
    with the ``body`` of the question.

    Raises :class:`NothingToDo` when a newer version has become the challenger.
    """
    from components.lifecycle import registry

    latest = passed[-1]
    challenger = registry.version_of(registry.CHALLENGER)
    if challenger != latest["version"]:
        raise NothingToDo(f"version {latest['version']} is superseded by version {challenger}")
    hours = config.load().gate.approval_hours
    told = f"version {latest['version']} waits {hours:g} hours for approval: {latest['reason']}"
    log(told)
    webhook.tell(f"Eidolon: {told}", latest, log)
    return latest | {"body": approval.question(latest, log)}


def build_passed(passed: dict[str, Any], log: Log) -> dict[str, Any]:
    """Build the Bento of a version that the gate has let pass. Raises :class:`NothingToDo` for the
    champion itself: the DAG `deploy` sees to it that it is served."""
    if passed["champion"] == passed["version"]:
        raise NothingToDo(passed["reason"])
    return build(passed["version"], log)


def build(version: str, log: Log) -> dict[str, Any]:
    """Build the Bento of ``version`` from the bundle in the registry. What its bundle has in common
    with those of other versions then takes its place on disk once."""
    from components.lifecycle import registry
    from components.pruning import sharing

    with scratch(DOWNLOADS) as folder:
        built = release.build(registry.download(version, folder), version, log)
    sharing.share_new()
    return {"version": version, "tag": built["tag"], "built": built["built"]}


def check(tag: str, log: Log) -> dict[str, Any]:
    """Ask ``tag`` golden queries, unless it answered them before: a tag names its content."""
    if release.was_checked(tag):
        log(f"{tag} has answered its golden queries before")
        return {"tag": tag}
    return release.check(tag, config.load().serve.golden_queries, log)


def promote(version: str, passed: dict[str, Any], log: Log, *, by: str = BY) -> None:
    """Move the alias `champion` to ``version``, which the gate has ``passed``.

    Raises :class:`NothingToDo` when a newer version has passed the gate since, and
    :class:`EidolonError` when another one has become the champion meanwhile.
    """
    from components.lifecycle import promotion

    newer = _passed_since(version)
    if newer is not None:
        raise NothingToDo(
            f"version {version} is superseded: version {newer} has passed the gate since;"
            f" `eidolon promote {version}` promotes it all the same"
        )
    promotion.promote(version, passed["champion"], by=by, reason=passed["reason"])
    log(f"version {version} is the champion")


def _passed_since(version: str) -> str | None:
    """The newest version that has passed the gate after ``version``, without those that were rolled
    back. There is none after the challenger, which was registered last, nor for the champion."""
    from components.lifecycle import registry

    if version in (
        registry.version_of(registry.CHALLENGER),
        registry.version_of(registry.CHAMPION),
    ):
        return None
    newer = [
        one.version
        for one in registry.versions()
        if int(one.version) > int(version)
        and one.tags.get(registry.VERDICT) == "passed"
        and registry.ROLLED_BACK not in one.tags
    ]
    return newer[-1] if newer else None


def follow(log: Log) -> dict[str, Any]:
    """Build the Bento of the version with the alias `champion`, which the endpoint shall serve.

    Raises :class:`NothingToDo` when it serves that already.
    """
    from components.lifecycle import promotion, registry

    version, before = registry.version_of(registry.CHAMPION), release.deployed()
    if version is None:
        raise EidolonError("no version is the champion: `make run` trains and promotes one")
    promotion.note_found(version, str(before["version"]) if before else None)
    built = build(version, log)
    if swap.is_live(built["tag"], version):
        raise NothingToDo(f"{built['tag']} is live already")
    return built


def stays_live(passed: dict[str, Any], log: Log) -> bool:
    """Whether the endpoint serves already what the gate of this run has ``passed``: the champion,
    in the Bento that this bundle, this code and these settings make."""
    version, live = passed["version"], release.deployed()
    if passed["champion"] != version or live is None or str(live["version"]) != version:
        return False
    return swap.is_live(release.build(BUNDLE, version, log)["tag"], version)


def switch(built: dict[str, Any], log: Log) -> dict[str, Any]:
    """Let the endpoint serve what :func:`follow` built. A trial ends, and its evidence is kept.

    Raises :class:`NothingToDo` when another version has become the champion meanwhile.
    """
    from components.lifecycle import registry

    def wanted() -> bool:
        return registry.version_of(registry.CHAMPION) == built["version"]

    try:
        moved = swap.deploy(built["tag"], built["version"], log, wanted)
    finally:
        canary.keep(log)
    if moved is None:
        raise NothingToDo(f"version {built['version']} is not the champion any more")
    return moved


def put_back(version: str | None, reason: str, log: Log) -> None:
    """After ``version`` (``None``: the champion) could not be deployed: let the alias name what is
    deployed, and tell people. Raises :class:`NothingToDo` when nothing else is deployed."""
    from components.lifecycle import promotion, registry

    failed = version or registry.version_of(registry.CHAMPION)
    live = release.deployed()
    back = str(live["version"]) if live and registry.exists(str(live["version"])) else None
    told = f"version {failed} could not be deployed ({reason}): "
    if failed is None or back == failed:
        stays = "the champion stays: nothing else is deployed"
        _tell(told + stays, failed, back, log)
        raise NothingToDo(stays)
    if promotion.put_back(failed, back, by="the DAG deploy", reason=reason):
        told += f"the champion is {f'version {back} again' if back else 'no version'}"
        log(told)
        _tell(told, failed, back, log)


def _tell(told: str, failed: str | None, champion: str | None, log: Log) -> None:
    webhook.tell(f"Eidolon: {told}", {"failed": failed, "champion": champion}, log)


def follow_champion(log: Log) -> dict[str, Any]:
    """Do what the DAG `deploy` does, without Airflow. Returns the Bento's ``tag`` and
    ``version``."""
    try:
        built = follow(log)
    except NothingToDo as reason:
        log(str(reason))
        live = release.deployed() or {}
        return {"tag": live["bento"], "version": str(live["version"])}
    try:
        check(built["tag"], log)
        switch(built, log)
    except NothingToDo as reason:  # another process deploys the other version
        log(str(reason))
    except (release.ReleaseError, EidolonError) as error:
        with suppress(NothingToDo):  # the error matters more
            put_back(built["version"], str(error).splitlines()[0], log)
        raise
    return built
