"""Which stages are up to date when a run begins, and whether they still are.

DVC needs a second to start, for each stage. So a run asks DVC once about all of them:

    python -m components.versioning.up_to_date repro dataset

A stage that was up to date then, as were all before it, still is when its mark is the same: what
dvc.lock records of it, and the inode, the size and the times of each file that it reads or writes.
DVC itself relies on these when it decides whether to hash a file again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from components import config, yaml_text
from components.errors import one_sentence
from components.files import read_json, text_of, write_json
from components.paths import LOCK

DVC_YAML = Path("dvc.yaml")
FILE = "up_to_date.json"
"""The marks, in the folder of a snapshot."""


def stage_names(dvc_yaml: Path = DVC_YAML) -> list[str]:
    """The stages of dvc.yaml that have a task in the DAG, in their order. A stage that always runs
    has none: DVC runs it with the others. One that is repeated for each shard has a name for
    each."""
    stages = yaml_text.parsed(dvc_yaml.read_text())["stages"]
    shards = config.load().generator.shards
    return [
        name
        for stage, content in stages.items()
        if not content.get("always_changed")
        for name in ([f"{stage}@{i}" for i in shards] if "matrix" in content else [stage])
    ]


def marks(stages: Sequence[str]) -> dict[str, str]:
    """The mark of each of ``stages`` that dvc.lock records and whose files are all there."""
    recorded = (yaml_text.parsed(text_of(LOCK) or "") or {}).get("stages", {})
    seen: dict[str, str | None] = {}
    found = ((stage, _mark(recorded.get(stage), seen)) for stage in stages)
    return {stage: mark for stage, mark in found if mark is not None}


def leading(lines: Sequence[str], stages: Sequence[str]) -> dict[str, str]:
    """The marks of ``stages`` that are up to date, by the ``lines`` that :func:`main` printed.

    They are those before the first that has changed: what that one will write is not known yet, so
    the stages after it may change too.
    """
    marked, status = (json.loads(line) for line in lines if line.startswith("{"))
    current = takewhile(lambda stage: stage in marked and stage not in status, stages)
    return {stage: marked[stage] for stage in current}


def save(folder: Path, marked: Mapping[str, str]) -> None:
    """Keep the marks of the stages that are up to date in the ``folder`` of a snapshot."""
    write_json(folder / FILE, marked)


def still(folder: Path, stage: str) -> bool:
    """Whether ``stage`` was up to date when the run with the snapshot ``folder`` began, and none of
    its files has changed since."""
    file = folder / FILE
    marked = read_json(file, "start a new run") if file.is_file() else {}
    return stage in marked and marks([stage]).get(stage) == marked[stage]


def _mark(recorded: Mapping[str, Any] | None, seen: dict[str, str | None]) -> str | None:
    """The mark of the stage that dvc.lock has as ``recorded``. ``seen`` keeps what was found about
    a path for other stages with the same one."""
    if recorded is None:
        return None
    parts = [json.dumps(recorded, sort_keys=True)]
    for pin in (*recorded.get("deps", []), *recorded.get("outs", [])):
        path = str(pin["path"])
        if path not in seen:
            seen[path] = _of_files(Path(path))
        if seen[path] is None:
            return None
        parts.append(f"{path} {seen[path]}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _of_files(path: Path) -> str | None:
    """A hash over the files at and below ``path``, or None if a part of it is missing or is a link
    to a folder, which cannot be followed safely."""
    digest = hashlib.sha256()
    try:
        for name, at in _files(path):
            if stat.S_ISDIR(at.st_mode):
                return None
            identity = (at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
            digest.update(f"{name} {identity}\n".encode(errors="surrogateescape"))
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files at and below ``path`` in a fixed order, each with what it or its target is."""
    if not path.is_dir():
        yield str(path), path.stat()
        return
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield entry.path, entry.stat()


def main(arguments: Sequence[str]) -> int:
    """Run `dvc ARGUMENTS`. Then print the marks of all stages as JSON, and `dvc status` as JSON:
    the marks come first, so that a change in between leads to another mark.

    Returns and raises like :func:`components.versioning.dvc_command.main`.
    """
    from components.versioning import dvc_command

    if code := dvc_command.main(arguments):
        return code
    stages = stage_names()
    print(json.dumps(marks(stages)), flush=True)
    return dvc_command.main(["status", "--json", "--with-deps", stages[-1]])


if __name__ == "__main__":
    with one_sentence():
        sys.exit(main(sys.argv[1:]))
