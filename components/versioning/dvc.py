"""DVC, asked through its command line: what it keeps here, and what it can bring back.

Stages never call this: `dvc repro` runs them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from components.errors import EidolonError, told
from components.files import text_of, write_text
from components.paths import COLLECTION, DATASET, LOCK, PICTURES, POINTER, SOURCE
from components.progress import Log
from components.variables import without_airflow
from components.versioning.remote import has_remote

DESCRIBED = "restoring-"
"""How the names of temporary folders in collection/ begin. They hold .dvc files: DVC takes none
that git ignores."""

_BLOCKS = [re.compile(rf"^  {s}:\n(?:   .*\n)+", re.MULTILINE) for s in ("dataset", "source")]


def push(targets: Sequence[str], log: Log) -> None:
    """Push ``targets`` to the configured remote; where there is none, say so."""
    if has_remote():
        run("push", *targets)
    else:
        log("no DVC remote is configured: other clones cannot restore this version")


def push_version(log: Log) -> None:
    """Push what the version in dvc.lock was trained on."""
    push(["dataset", *([str(POINTER)] if POINTER.is_file() else [])], log)


def fetch(hashes: Sequence[str]) -> None:
    """Have the folders that DVC calls ``hashes`` in the cache, from the remote where need be.

    Raises :class:`EidolonError` when a file of them is in neither, and :class:`TransientError` when
    the remote cannot be asked.
    """
    with _described(hashes) as (descriptions, folders):
        run("fetch", *descriptions)
        # fetching what a remote lacks is a warning to DVC, not a failure
        missing = _status("--granular", *folders).get("not_in_cache", [])
    if missing:
        raise EidolonError(
            f"DVC's cache and remote do not hold {' and '.join(hashes)} ({missing[0]}): `dvc push`"
            " from the clone that registered it, or see `dvc remote list`"
        )


def unsaved() -> list[str]:
    """The data here that DVC could not bring back: changed since it was recorded, or not cached."""
    folders = [folder for folder in (DATASET, PICTURES) if folder.is_dir()]
    if not folders:
        return []
    status = _status(*map(str, folders))
    uncommitted = status.get("uncommitted", {})
    lost = {*uncommitted.get("modified", []), *uncommitted.get("added", [])}
    recorded = _outputs()
    lost |= {str(folder) for folder in folders if folder not in recorded}
    return sorted(lost | set(status.get("not_in_cache", [])))


def checkout(lock: str, pointer: str | None, rows: str, source: str | None) -> None:
    """Make the dataset that of the text of a dvc.lock, and the collection that of the texts of its
    pictures.dvc, its manifest and its source.json. What they name must be in the cache."""
    write_text(LOCK, _with_dataset(text_of(LOCK) or "schema: '2.0'\nstages:\n", lock))
    write_text(COLLECTION / "manifest.csv", rows)
    if source is not None:  # a version of an older release has none
        write_text(SOURCE, source)
    targets = ["dataset"]
    if pointer is None:
        POINTER.unlink(missing_ok=True)
        shutil.rmtree(PICTURES, ignore_errors=True)
    else:
        write_text(POINTER, pointer)
        targets.append(str(POINTER))
    run("checkout", "--force", *targets)  # what would be lost was looked for before


def _with_dataset(lock: str, other: str) -> str:
    """``lock`` with the stages `source` and `dataset` of ``other``, every other byte kept: a
    version is known by the hash of its dvc.lock."""
    for pattern in _BLOCKS:
        block, here = pattern.search(other), pattern.search(lock)
        if block and here:
            lock = lock[: here.start()] + block[0] + lock[here.end() :]
        elif block:  # a version of an older release has no `source`
            lock += block[0]
    return lock


def run(*arguments: str, quiet: bool = True) -> str:
    """Run DVC here, waiting for its lock, and return what it printed; unless ``quiet``, it prints
    to this process's streams. Raises :class:`EidolonError` for bad input, such as a remote that is
    not configured, and :class:`TransientError` otherwise."""
    beside = str(Path(sys.executable).parent)  # where a stage's command `eidolon` is
    done = subprocess.run(
        [sys.executable, "-m", "components.versioning.dvc_command", *arguments],
        env=without_airflow(os.environ)
        | {"PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)])},
        stdin=subprocess.DEVNULL,
        capture_output=quiet,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return done.stdout or ""
    said = (done.stderr or f"`dvc {arguments[0]}` failed: it has said why").splitlines()
    raise told(said, done.returncode)


@contextmanager
def _described(hashes: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """.dvc files that name ``hashes``, while the block lasts, and the folders that they stand for:
    so DVC's own commands can be asked for what no stage here names. To be used while the collection
    is locked."""
    with tempfile.TemporaryDirectory(dir=COLLECTION, prefix=DESCRIBED) as place:
        files, folders = [], []
        for i, digest in enumerate(hashes):
            file, folder = Path(place) / f"{i}.dvc", Path(place) / str(i)
            out = {"md5": digest, "hash": "md5", "path": folder.name}
            file.write_text(yaml.safe_dump({"outs": [out]}))
            files.append(str(file))
            folders.append(str(folder))
        yield files, folders


def _status(*arguments: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(run("data", "status", "--json", *arguments))
    return status


def _outputs() -> set[Path]:
    """The outputs of which DVC recorded a version here."""
    found = {PICTURES} if POINTER.is_file() else set()
    lock = yaml.safe_load(LOCK.read_text()) if LOCK.is_file() else None
    if lock and "dataset" in lock.get("stages", {}):
        found.add(DATASET)
    return found
