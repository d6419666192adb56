"""The work of the tasks of the DAGs, without Airflow.

Each step takes and returns small values (ids, tags, sentences), so that it can be tried again by
itself. The DAGs decide on the order, and on what happens when a step fails.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components import config
from components.errors import EidolonError, TransientError
from components.paths import INBOX, INSPECTION, VALIDATION
from components.versioning.remote import has_remote
from ops import inbox, release, swap
from ops import stage as stages
from ops.accelerators import accelerators, one_of
from ops.environment import HOME
from ops.lock import one_at_a_time
from ops.stage import Log

PAGES = {"validate": VALIDATION / "index.html"}
"""The pages that stages leave for people."""


class NothingToDo(Exception):  # noqa: N818 - not an error
    """A step is not needed or not allowed. It is skipped, and so are the steps after it. Says
    why."""


def stage(name: str, log: Log) -> dict[str, Any]:
    """Bring one stage of dvc.yaml up to date."""
    config.load()  # an unknown or absurd parameter stops the run before anything is computed
    with _shown(PAGES.get(name), log) as page:
        return asdict(stages.repro(name, log)) | page


@contextmanager
def _shown(page: Path | None, log: Log) -> Iterator[dict[str, str]]:
    """Log where ``page`` is once the block has written it. After a failure MLflow keeps it as well,
    because the next run overwrites it."""
    began = time.time()

    def written() -> bool:
        return page is not None and page.exists() and page.stat().st_mtime >= began

    try:
        yield {} if page is None else {"page": page.as_posix()}
    except EidolonError as error:
        if page is not None and written():
            from components.lifecycle import registry

            try:
                log(f"kept in MLflow: {registry.keep(page.parent, str(error))}")
            except (EidolonError, TransientError) as other:  # the first error matters more
                log(f"not kept in MLflow: {other}")
        raise
    finally:
        if page is not None and written():
            log(f"what was found: {page.absolute().as_uri()}")


def inspect(log: Log) -> dict[str, Any]:
    """Inspect the dataset as a whole, and compare it with the champion's."""
    from components.lifecycle.admission import admit

    with _shown(INSPECTION / "index.html", log) as page:
        report, compared = admit(config.load())
        log(f"inspect: {compared}")
        for warning in report["warnings"]:
            log(f"warning: {warning}")
        return {"warnings": len(report["warnings"])} | page


def plan(log: Log) -> dict[str, Any]:
    """Bring the stage `plan` up to date, and return the shards that it made."""
    return stage("plan", log) | {"shards": list(config.load().generator.shards)}


def imagine(shard: int, log: Log) -> dict[str, Any]:
    """Draw one shard on an accelerator of its own, and push it for the clones that share the
    remote."""
    from components.versioning import dvc

    config.load()
    with one_at_a_time("plan"):  # other shards read what it wrote
        status = json.loads(dvc.run("status", "--json", "--with-deps", "plan"))
        if any(why != ["always changed"] for why in status.values()):
            stages.repro("plan", log)
    with one_of(accelerators()) as chosen:
        result = asdict(stages.repro(f"imagine@{shard}", log, chosen, alone=True))
    if has_remote():
        dvc.run("push", "--run-cache", f"imagine@{shard}")
    return result


def register(log: Log) -> dict[str, Any]:
    """Push the data of the bundle, then register the bundle in MLflow as `challenger`."""
    from components.lifecycle import registry
    from components.versioning import dvc

    params = config.load()
    if not registry.is_registered():
        dvc.push_version(log)  # so that every registered version can be restored
    found = registry.register(params)
    log(f"version {found.version} {'registered' if found.created else 'was registered before'}")
    return asdict(found)


def collect(source: str | None, log: Log) -> dict[str, Any]:
    """Ingest ``source``, or else the entries of the inbox.

    Raises :class:`NothingToDo` when that adds nothing and everything is announced, and
    :class:`EidolonError` for a source that Airflow's users may not name.
    """
    from components.collection import catalog, versions
    from components.collection.ingest import ingest

    params = config.load().ingest
    room = INBOX if source is None else inbox.room(Path(source))
    entries = inbox.settled(params.settled_seconds) if source is None else []
    if source is not None or entries:
        versions.prepare(log)
    if source is not None:
        log(ingest(Path(source), params, below=room).sentence())
    for entry in entries:
        name = entry.path.name
        try:
            log(f"{name}: {ingest(entry.path, params, below=room).sentence()}")
            taken = inbox.done(entry)
        except EidolonError as error:  # one bad entry must not block the others
            taken = inbox.refuse(entry, str(error))
            if taken:
                log(f"{name} is refused: {error}")
        if not taken:
            log(f"{name} has changed meanwhile: it stays in the inbox until the next look")
    left = catalog.unannounced()
    if not left:
        raise NothingToDo("nothing new")
    return {"unannounced": len(left)}


def version(log: Log) -> dict[str, Any]:
    """Version the ingested pictures with DVC and push them. Raises :class:`NothingToDo` when all
    are announced."""
    from components.collection import versions

    saved = versions.save_collection(log)
    if saved is None:
        raise NothingToDo("nothing new")
    log(f"version {saved.hash}: {saved.pictures} ingested pictures, {saved.added} of them new")
    return asdict(saved)


def announced(last: str) -> None:
    """Note that Airflow has recorded the event: all pictures up to ``last`` are announced."""
    from components.collection import catalog

    catalog.mark_announced(last)


def gate(version: str, log: Log) -> dict[str, Any]:
    """Let ``version`` pass, or raise :class:`NothingToDo` with the reason against it."""
    from components.lifecycle import registry
    from components.lifecycle.gate import compare
    from components.lifecycle.reference import reference, trained

    champion = registry.by_alias(registry.CHAMPION)
    if champion is not None and str(champion.version) == version:
        reason = f"unchanged: version {version} is the champion"
    else:
        if registry.rolled_back(version):
            raise NothingToDo(
                f"version {version} was rolled back: `eidolon promote {version}` lifts that"
            )
        params = config.load()
        against = reference(trained(version), params.inspect.max_lost)
        if champion is not None and against.version is None:
            log(against.sentence)
        before = registry.metrics_of(against.version) if against.version else None
        verdict = compare(
            registry.metrics_of(version), before, params.gate, params.evaluate.min_categories
        )
        reason = verdict.reason
        if not verdict.passed:
            raise NothingToDo(f"version {version} is not promoted: {reason}")
    log(reason)
    return {"version": version, "reason": reason}


def build(version: str, log: Log) -> dict[str, Any]:
    """Build the Bento of ``version`` from the bundle in the registry."""
    from components.lifecycle import registry

    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="bundle-") as folder:
        built = release.build(registry.download(version, Path(folder)), version, log)
    return {"version": version, "tag": built["tag"], "built": built["built"]}


def check(version: str, tag: str, log: Log) -> dict[str, Any]:
    """Ask ``tag`` golden queries. Raises :class:`NothingToDo` when it is live already: when it is
    deployed, and the endpoint of `make up`, if that runs, is ready."""
    from components.lifecycle import registry

    champion = registry.by_alias(registry.CHAMPION)
    if champion is not None and str(champion.version) == version:
        if swap.is_live(tag, version):
            raise NothingToDo(f"{tag} is live already")
        if (release.deployed() or {}).get("bento") == tag:
            log("the endpoint does not answer: it is deployed again")
    return release.check(tag, config.load().serve.golden_queries, log)


def promote(version: str, log: Log) -> None:
    """Move the alias `champion` to ``version``."""
    from components.lifecycle import registry

    registry.promote(version)
    log(f"version {version} is the champion")


def deploy(version: str, tag: str, log: Log) -> dict[str, Any]:
    """Serve ``tag`` at the endpoint, without losing a request."""
    return swap.deploy(tag, version, log)


def follow_champion(log: Log) -> dict[str, Any]:
    """Deploy the version with the alias `champion`: after a roll-back or a lost deployment."""
    from components.lifecycle import registry

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
