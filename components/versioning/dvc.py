"""Runs DVC's command line to push, fetch, check and restore data.

Stages never use this module, because `dvc repro` runs them.
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

from components import yaml_text
from components.errors import EidolonError, failure
from components.files import text_of, write_text
from components.paths import COLLECTION, DATASET, LOCK, PICTURES, POINTER, SOURCE
from components.progress import Log
from components.variables import without_airflow
from components.versioning.remote import has_remote

DESCRIBED = "restoring-"
"""Prefix of temporary folders with .dvc files. They are in collection/, because DVC rejects .dvc
files that git ignores."""

_BLOCKS = [re.compile(rf"^  {s}:\n(?:   .*\n)+", re.MULTILINE) for s in ("dataset", "source")]


def push(targets: Sequence[str], log: Log) -> None:
    """Push ``targets`` to the configured remote, or log that there is none."""
    if has_remote():
        run("push", *targets)
    else:
        log("no DVC remote is configured: other clones cannot restore this version")


def push_version(hashes: Sequence[str], log: Log) -> None:
    """Push the folders with these DVC ``hashes``, the dataset and the collection of a version. The
    collection here may have grown since the version was trained. The caller must hold the lock of
    the collection."""
    with _described(hashes) as (descriptions, _):
        push(descriptions, log)


def fetch(hashes: Sequence[str], removed: Sequence[str] = ()) -> dict[str, str]:
    """Fetch the folders with these DVC ``hashes`` into the cache, unless they are there.

    Files with an MD5 in ``removed`` need not be there: returns the hashes of the folders that have
    such files, each with the hash of the folder without them. Raises :class:`EidolonError` when the
    remote lacks another file, and :class:`TransientError` when the remote cannot be reached.
    """
    leaner = {h: str(objects("without", h, *removed)) for h in hashes} if removed else {}
    missing = _fetched([leaner.get(digest, digest) for digest in hashes])
    if missing:
        raise EidolonError(
            f"DVC's cache and remote do not hold {' and '.join(hashes)} ({missing[0]}): run"
            " `dvc push` in the clone that registered it, or check `dvc remote list`"
        )
    return {before: after for before, after in leaner.items() if before != after}


def _fetched(hashes: Sequence[str]) -> list[str]:
    """Fetch these folders, and return what is not there all the same."""
    with _described(hashes) as (descriptions, folders):
        run("fetch", *descriptions)
        # DVC only warns if a remote lacks a file
        missing: list[str] = _status("--granular", *folders).get("not_in_cache", [])
    return missing


def objects(verb: str, *arguments: str) -> Any:
    """The answer of :mod:`components.versioning.objects`, as its ``main`` describes it."""
    return json.loads(_call("components.versioning.objects", verb, *arguments).splitlines()[-1])


def cache_folder() -> Path:
    """The folder of DVC's cache."""
    return Path(run("cache", "dir").strip())


def collect_garbage(hashes: Sequence[str], *, dry: bool) -> str:
    """Remove from the cache what neither the files here nor the folders with these ``hashes`` use,
    or only list it (``dry``). Returns DVC's output. The caller must hold the lock of the
    collection."""
    objects = cache_folder() / "files" / "md5"
    here = [digest for digest in hashes if (objects / digest[:2] / digest[2:]).is_file()]
    with _described(here):
        return run("gc", "--workspace", "--force", *(["--dry"] if dry else []))


def unsaved() -> list[str]:
    """The data here that DVC could not restore, because they changed or are not in its cache."""
    folders = [folder for folder in (DATASET, PICTURES) if folder.is_dir()]
    if not folders:
        return []
    status = _status(*map(str, folders))
    uncommitted = status.get("uncommitted", {})
    lost = {*uncommitted.get("modified", []), *uncommitted.get("added", [])}
    recorded = _outputs()
    lost |= {str(folder) for folder in folders if folder not in recorded}
    return sorted(lost | set(status.get("not_in_cache", [])))


def checkout(lock: str, pointer: str | None, source: str | None) -> None:
    """Replace the dataset and the collection here by those of a version.

    The arguments are the texts of its dvc.lock, pictures.dvc and source.json. The cache must have
    the data that they name. Without ``pointer``, the collection is emptied.
    """
    write_text(LOCK, _with_dataset(text_of(LOCK) or "schema: '2.0'\nstages:\n", lock))
    if source is not None:  # versions of older releases have none
        write_text(SOURCE, source)
    targets = ["dataset"]
    if pointer is None:
        POINTER.unlink(missing_ok=True)
        shutil.rmtree(PICTURES, ignore_errors=True)
    else:
        write_text(POINTER, pointer)
        targets.append(str(POINTER))
    run("checkout", "--force", *targets)  # the caller has checked that nothing is lost


def _with_dataset(lock: str, other: str) -> str:
    """``lock`` with the stages `source` and `dataset` of ``other``. All other bytes stay."""
    for pattern in _BLOCKS:
        block, here = pattern.search(other), pattern.search(lock)
        if block and here:
            lock = lock[: here.start()] + block[0] + lock[here.end() :]
        elif block:  # versions of older releases have no `source`
            lock += block[0]
    return lock


def run(*arguments: str, quiet: bool = True) -> str:
    """Run DVC here and return its output. Waits for DVC's lock.

    Unless ``quiet``, DVC prints to the streams of this process, and the result is empty. Raises
    :class:`EidolonError` for bad input, such as a remote that is not configured, and
    :class:`TransientError` for other failures.
    """
    return _call("components.versioning.dvc_command", *arguments, quiet=quiet)


def _call(module: str, *arguments: str, quiet: bool = True) -> str:
    """Run one of our modules that use DVC's library."""
    scripts = str(Path(sys.executable).parent)  # has the command `eidolon` of the stages
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=without_airflow(os.environ)
        | {"PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])},
        stdin=subprocess.DEVNULL,
        capture_output=quiet,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return done.stdout or ""
    said = (done.stderr or f"`dvc {arguments[0]}` failed: see its output above").splitlines()
    raise failure(said, done.returncode)


@contextmanager
def _described(hashes: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield temporary .dvc files that name ``hashes``, and the folders that they stand for.

    With them, DVC's commands can handle folders that no stage here names. The caller must hold the
    lock of the collection.
    """
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
    """The result of `dvc data status`."""
    status: dict[str, Any] = json.loads(run("data", "status", "--json", *arguments))
    return status


def _outputs() -> set[Path]:
    """The outputs whose version DVC has recorded here."""
    found = {PICTURES} if POINTER.is_file() else set()
    lock = yaml_text.parsed(LOCK.read_text()) if LOCK.is_file() else None
    if lock and "dataset" in lock.get("stages", {}):
        found.add(DATASET)
    return found
