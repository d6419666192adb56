"""What the stages of one run leave for each other in separate clones.

A stage that ran in one clone pushes its output to DVC's remote, and puts what dvc.lock records of
it among the shared objects of the run. Before a stage runs, its clone takes the records of all
stages of the run, and pulls what the stage reads. So the head and the workers compute as one clone
would. Nothing here happens on a single machine.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from components import objects, yaml_text
from components.errors import EidolonError
from components.files import file_name, text_of, write_text
from components.lifecycle import snapshot
from components.paths import LOCK
from components.versioning import dvc
from components.versioning.up_to_date import DVC_YAML
from ops.cluster.settings import HEAD
from ops.cluster.workers import committed, follow, is_worker
from ops.environment import HOME
from ops.lock import one_at_a_time
from ops.stage import Log

_TAKEN = HOME / "taken"
"""What this clone has of each stage: the record with which its output was pulled or made."""


def active() -> bool:
    """Whether there are several machines."""
    return HEAD in os.environ


def begin(run: str) -> None:
    """Say which commit ``run`` is of, before its first stage: the workers will follow. Raises
    :class:`EidolonError` when the code here is not committed."""
    if active():
        _place().write(_key("commits", run), committed().encode())


def take(run: str, stage: str, log: Log) -> None:
    """Bring this clone to where ``run`` is: on a worker its commit and its parameters, everywhere
    the records of its stages and the data that ``stage`` reads.

    Raises what :func:`ops.cluster.workers.follow` raises.
    """
    if not active():
        return
    if is_worker():
        _arrive(run)
    with one_at_a_time("take"):
        records = _records(run)
        lock = _lock()
        if any(lock["stages"].get(name) != record for name, record in records.items()):
            lock["stages"] |= records
            write_text(LOCK, yaml.safe_dump(lock, sort_keys=False))
        needed = [name for name in before(stage) if name in records]
        missing = [name for name in needed if text_of(_note(name)) != _text(records[name])]
        if missing:
            log(f"{stage}: takes the results of {', '.join(missing)}")
            dvc.run("pull", "--force", *missing)
        for name in missing:
            write_text(_note(name), _text(records[name]))


def leave(run: str, stage: str) -> None:
    """Let the other clones of ``run`` have the result of ``stage``, which is up to date here."""
    if not active():
        return
    record = _lock()["stages"].get(stage)
    if record is None:
        raise EidolonError(f"dvc.lock has no record of {stage}: run `dvc repro {stage}`")
    text = _text(record)
    if text_of(_note(stage)) != text:
        dvc.run("push", stage)
        write_text(_note(stage), text)
    _place().write(f"{_key('stages', run)}/{stage}", text.encode())


def before(stage: str) -> list[str]:
    """The stages of dvc.yaml whose output ``stage`` reads, one for each shard."""
    stages = _stages()
    wanted = [Path(dep) for dep in stages[stage]["deps"]]
    return [
        name
        for name, content in stages.items()
        if name != stage
        and any(
            out in (dep, *dep.parents) or dep in out.parents
            for out in map(Path, content["outs"])
            for dep in wanted
        )
    ]


def _stages() -> dict[str, dict[str, list[str]]]:
    """The paths that each stage reads and writes."""
    from components import config

    found = {}
    for stage, content in yaml_text.parsed(DVC_YAML.read_text())["stages"].items():
        kinds = ("outs", "metrics", "plots")
        outs = [
            next(iter(o)) if isinstance(o, dict) else o for k in kinds for o in content.get(k, [])
        ]
        paths = {"deps": content.get("deps", []), "outs": outs}
        if "matrix" not in content:
            found[stage] = paths
            continue
        for shard in config.load().generator.shards:
            found[f"{stage}@{shard}"] = {
                key: [path.replace("${item.shard}", str(shard)) for path in some]
                for key, some in paths.items()
            }
    return found


def _arrive(run: str) -> None:
    commit = _place().read(_key("commits", run))
    if commit is None:
        raise EidolonError(f"the head has not begun {run}: start a new run there")
    follow(commit.decode())
    pinned = snapshot.of(run)
    if pinned is None:
        raise EidolonError(f"the head has not kept what {run} is of: start a new run there")
    for name, copy in pinned.files().items():
        text, here = text_of(copy), snapshot.HERE[name]
        if text is None:
            here.unlink(missing_ok=True)
        elif text_of(here) != text:
            write_text(here, text)


def _records(run: str) -> dict[str, Any]:
    """What dvc.lock shall say of each stage of ``run`` that is done."""
    place, prefix = _place(), f"{_key('stages', run)}/"
    texts = {key.removeprefix(prefix): place.read(key) for key in place.keys(prefix)}
    return {name: json.loads(text) for name, text in texts.items() if text is not None}


def _lock() -> dict[str, Any]:
    found: dict[str, Any] = yaml_text.parsed(text_of(LOCK) or "") or {"schema": "2.0", "stages": {}}
    return found


def _text(record: Any) -> str:
    return json.dumps(record)


def _note(stage: str) -> Path:
    return _TAKEN / f"{stage}.json"


def _key(kind: str, run: str) -> str:
    return f"{kind}/{file_name(run)}"


def _place() -> objects.Objects:
    place = objects.shared()
    if place is None:
        raise EidolonError(f"{HEAD} is set, and EIDOLON_OBJECTS is not: name the shared objects")
    return place
