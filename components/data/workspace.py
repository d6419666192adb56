"""What git and DVC know of this checkout, asked through their command lines.

DVC versions the collection's pictures and the stages' outputs; git versions the rest. Stages run by
`dvc repro` never call this.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.data import collection
from components.data.remote import has_remote
from components.errors import EidolonError, told
from components.files import write_text
from components.paths import COLLECTION, DATASET, LOCK, SOURCE
from components.variables import without_airflow

POINTER = COLLECTION / "pictures.dvc"
_PICTURES = collection.pictures_folder()
_PINNED = (LOCK, Path("params.yaml"), COLLECTION)  # kept with each version, so no part of its code
_BLOCKS = [re.compile(rf"^  {s}:\n(?:   .*\n)+", re.MULTILINE) for s in ("dataset", "source")]

Log = Callable[[str], None]


@dataclass(frozen=True)
class Code:
    """The commit of this checkout; ``dirty``: its files differ from it. Both are ``unknown`` for a
    checkout without git."""

    commit: str
    dirty: str


@dataclass(frozen=True)
class Saved:
    """A version of the collection: what DVC calls it, how much it holds, how many of its pictures
    have not been announced, and the last of those."""

    hash: str
    pictures: int
    categories: int
    added: int
    last: str


def code() -> Code:
    """The code that is here now. dvc.lock, params.yaml and the collection do not count."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return Code("unknown", "unknown")
    others = [f":(exclude){path}" for path in _PINNED]
    changed = _git("status", "--porcelain", "--", ".", *others)
    return Code(commit.strip(), "unknown" if changed is None else str(bool(changed)).lower())


def committed(path: Path) -> str | None:
    """The text of ``path`` in git's HEAD, or nothing."""
    return _git("show", f"HEAD:./{path.as_posix()}")


def dataset_hash(lock: str | None = None) -> str:
    """What DVC calls the dataset, by the text of a dvc.lock: the one here, or ``lock``."""
    try:
        stages = yaml.safe_load(LOCK.read_text() if lock is None else lock)["stages"]
        return str(stages["dataset"]["outs"][0]["md5"])
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise EidolonError(f"{LOCK} does not name the dataset ({error}): run `dvc repro`") from None


def collection_hash(pointer: str | None) -> str:
    """What DVC calls the pictures of a collection, by the text of its pictures.dvc; an empty string
    where there are none."""
    if pointer is None:
        return ""
    try:
        return str(yaml.safe_load(pointer)["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise EidolonError(f"{POINTER} is damaged ({error!r}): `git checkout {POINTER}`") from None


def text(path: Path) -> str | None:
    """The content of a small file, or nothing where there is none."""
    return path.read_text() if path.is_file() else None


def prepare(log: Log) -> None:
    """Have what ingesting compares with: the dataset as it is, and the collection's files."""
    if not (DATASET / "manifest.csv").is_file():
        log("the dataset is not here yet: `dvc repro dataset`")
        dvc("repro", "dataset", quiet=False)
    if POINTER.is_file() and not _PICTURES.is_dir():
        dvc("pull", str(POINTER), quiet=False)


def save_collection(log: Log) -> Saved | None:
    """Version what was ingested and push it; nothing when Airflow was told of all of it.

    Raises what :func:`dvc` does when DVC or the remote fails; all of it can be tried again.
    """
    with collection.locked():
        added = collection.unannounced()
        if not added:
            return None
        dvc("add", str(_PICTURES))
        rows = collection.read()
        saved = Saved(
            hash=collection_hash(text(POINTER)),
            pictures=len(rows),
            categories=rows["category"].nunique(),
            added=len(added),
            last=added[-1],
        )
    push([str(POINTER)], log)
    return saved


def push(targets: Sequence[str], log: Log) -> None:
    """Push ``targets`` to the configured remote; where there is none, say so."""
    if has_remote():
        dvc("push", *targets)
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
        dvc("fetch", *descriptions)
        # fetching what a remote lacks is a warning to DVC, not a failure
        missing = _status("--granular", *folders).get("not_in_cache", [])
    if missing:
        raise EidolonError(
            f"DVC's cache and remote do not hold {' and '.join(hashes)} ({missing[0]}): `dvc push`"
            " from the clone that registered it, or see `dvc remote list`"
        )


def unsaved() -> list[str]:
    """The data here that DVC could not bring back: changed since it was recorded, or not cached."""
    folders = [folder for folder in (DATASET, _PICTURES) if folder.is_dir()]
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
    write_text(LOCK, _with_dataset(text(LOCK) or "schema: '2.0'\nstages:\n", lock))
    write_text(COLLECTION / "manifest.csv", rows)
    if source is not None:  # a version of an older release has none
        write_text(SOURCE, source)
    targets = ["dataset"]
    if pointer is None:
        POINTER.unlink(missing_ok=True)
        shutil.rmtree(_PICTURES, ignore_errors=True)
    else:
        write_text(POINTER, pointer)
        targets.append(str(POINTER))
    dvc("checkout", "--force", *targets)  # what would be lost was looked for before


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


def dvc(*arguments: str, quiet: bool = True) -> str:
    """Run DVC here, waiting for its lock, and return what it printed; unless ``quiet``, it prints
    to this process's streams. Raises :class:`EidolonError` for bad input, such as a remote that is
    not configured, and :class:`TransientError` otherwise."""
    beside = str(Path(sys.executable).parent)  # where a stage's command `eidolon` is
    done = subprocess.run(
        [sys.executable, "-m", "components.data.dvc_process", *arguments],
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
    with tempfile.TemporaryDirectory(dir=COLLECTION, prefix=collection.DESCRIBED) as place:
        files, folders = [], []
        for i, digest in enumerate(hashes):
            file, folder = Path(place) / f"{i}.dvc", Path(place) / str(i)
            out = {"md5": digest, "hash": "md5", "path": folder.name}
            file.write_text(yaml.safe_dump({"outs": [out]}))
            files.append(str(file))
            folders.append(str(folder))
        yield files, folders


def _status(*arguments: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(dvc("data", "status", "--json", *arguments))
    return status


def _outputs() -> set[Path]:
    """The outputs of which DVC recorded a version here."""
    found = {_PICTURES} if POINTER.is_file() else set()
    lock = yaml.safe_load(LOCK.read_text()) if LOCK.is_file() else None
    if lock and "dataset" in lock.get("stages", {}):
        found.add(DATASET)
    return found


def _git(*arguments: str) -> str | None:
    """What git prints here, or nothing where there is no git, no repository or no such thing."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
