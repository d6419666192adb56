"""The work of the tasks of the DAGs `ingest` and `retrain` up to the bundle, without Airflow.

Each step takes and returns small values (ids, tags, sentences), so that it can be tried again by
itself. The DAGs decide on the order, and on what happens when a step fails.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components import config
from components.errors import EidolonError, TransientError
from components.files import text_of, write_text
from components.lifecycle import snapshot
from components.paths import INBOX, INSPECTION, VALIDATION
from components.versioning import up_to_date
from components.versioning.remote import SETTINGS, has_remote
from ops import inbox
from ops import stage as stages
from ops.accelerators import accelerators, one_of
from ops.cluster import sharing
from ops.environment import HOME
from ops.lock import one_at_a_time
from ops.stage import Log

PAGES = {"validate": VALIDATION / "index.html"}
"""The pages that stages leave for people."""

PUSHED = HOME / "pushed"
"""What was pushed of each shard, and where to: the marks of its stage, and DVC's settings."""


class NothingToDo(Exception):  # noqa: N818 - not an error
    """A step is not needed or not allowed. It is skipped, and so are the steps after it. Says
    why."""


def dataset(run: str, log: Log) -> dict[str, Any]:
    """Bring the stage `dataset` up to date, and pin what the run ``run`` is of."""
    sharing.begin(run)
    begun, attempt = snapshot.begin(), 0
    config.load()  # an unknown or absurd parameter stops the run before anything is computed
    while True:
        result, marked = stages.begin(log)
        taken = snapshot.take(run, begun, attempt)
        if taken is not None:
            up_to_date.save(taken.folder, marked)
            sharing.leave(run, "dataset")
            return asdict(result)
        log("pictures were ingested meanwhile: the dataset is read again")
        attempt += 1


def stage(name: str, run: str, log: Log) -> dict[str, Any]:
    """Bring a later stage of dvc.yaml up to date, alone: what the run began with stays as it is.
    Nothing is started for a stage that was up to date then and still is."""
    sharing.take(run, name, log)
    pinned = _pinned(run)
    if (result := _up_to_date(name, pinned, log)) is None:
        config.load()
        with _shown(PAGES.get(name), log) as page:
            result = asdict(stages.repro(name, log, alone=_ready(pinned))) | page
    sharing.leave(run, name)
    return result


def _ready(pinned: snapshot.Snapshot | None) -> bool:
    """Whether what the stages before wrote is in this clone, as the run has it."""
    return pinned is not None and (pinned.here or sharing.active())


def _up_to_date(
    name: str, pinned: snapshot.Snapshot | None, log: Log, *readers: str
) -> dict[str, Any] | None:
    """The result of a stage that was up to date when the run began and still is, or None. For a
    task that is no stage, the stages that are its ``readers`` decide."""
    began = time.monotonic()
    if pinned is None or not all(
        up_to_date.still(pinned.folder, stage) for stage in readers or (name,)
    ):
        return None
    log(f"{name}: up to date")
    return asdict(stages.Result(name, round(time.monotonic() - began, 1), cached=True))


def _pinned(run: str) -> snapshot.Snapshot | None:
    """What the run began with, if this clone can know it; then it must not have changed. Where the
    run began in another clone, the stages before come from DVC's shared cache or remote."""
    pinned = snapshot.of(run)
    if pinned is not None:
        pinned.check()
    return pinned


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


def plan(run: str, log: Log) -> dict[str, Any]:
    """Bring the stage `plan` up to date, and return the shards that it made."""
    return stage("plan", run, log) | {"shards": list(config.load().generator.shards)}


def imagine(shard: int, run: str, log: Log) -> dict[str, Any]:
    """Draw one shard on an accelerator of its own, and push it for the clones that share the
    remote."""
    name = f"imagine@{shard}"
    sharing.take(run, name, log)
    pinned = _pinned(run)
    _bring("plan", pinned, log)
    if skipped := _up_to_date(name, pinned, log):
        result = skipped
    else:
        with one_of(accelerators()) as chosen:
            result = asdict(stages.repro(name, log, chosen, alone=True))
    if has_remote():
        _push(name, again=not skipped)
    sharing.leave(run, name)
    return result


def encode(shard: int, run: str, log: Log) -> dict[str, Any]:
    """Encode one shard of the pictures that `validate` and `embed` read, on an accelerator of its
    own, unless both are up to date."""
    name = f"encode@{shard}"
    sharing.take(run, "validate", log)  # it reads the same
    pinned = _pinned(run)
    if skipped := _up_to_date(name, pinned, log, "validate", "embed"):
        return skipped
    _bring("generate", pinned, log)
    with one_of(accelerators()) as chosen:
        return asdict(stages.command(["encode", str(shard)], name, log, chosen))


def _bring(stage: str, pinned: snapshot.Snapshot | None, log: Log) -> None:
    """Bring ``stage`` up to date in a clone that does not have it as the run does. Nothing is run
    where it is: the tasks of other shards may be reading what it wrote."""
    from components.versioning import dvc

    if _ready(pinned):
        return
    with one_at_a_time(stage):
        status = json.loads(dvc.run("status", "--json", "--with-deps", stage))
        if any(why != ["always changed"] for why in status.values()):
            stages.repro(stage, log)


def _push(stage: str, *, again: bool) -> None:
    """Push ``stage``, with what lets another clone do without running it. Unless ``again``, not
    when that was done before."""
    from components.versioning import dvc

    note, content = PUSHED / f"{stage}.txt", up_to_date.marks([stage]).get(stage, "")
    content = "\n".join([content, *(text_of(path) or "" for path in SETTINGS)])
    if again or text_of(note) != content:
        dvc.run("push", "--run-cache", stage)
        write_text(note, content)


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
