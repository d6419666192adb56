"""Pins what a run is of, so that what arrives while it lasts belongs to the next run.

The first stage, `dataset`, reads the collection and the source. After it the snapshot keeps their
records, and the dataset's hash. The later stages run alone, on what the first one wrote. They read
params.yaml and the code again, so those must not have changed meanwhile.

Where `EIDOLON_OBJECTS` is set, other machines find the snapshot there, as an object of the run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import config, yaml_text
from components.errors import EidolonError, TransientError
from components.files import (
    append_line,
    file_name,
    folder_aside,
    read_json,
    sha256,
    text_of,
    write_json,
)
from components.objects import shared
from components.paths import FEEDBACK, HOME, PICTURES, POINTER, SOURCE
from components.versioning import dvc
from components.versioning.lock import dataset_hash, was_read

FOLDER = HOME / "snapshots"
KEPT = 20  # the snapshots of the latest runs
GONE = ".gone"  # the file in the folder that names the runs whose snapshots were here
PINS = "pins.json"

HERE = {
    "params.yaml": config.PARAMS,
    "pictures.dvc": POINTER,
    "source.json": SOURCE,
    "feedback.csv": FEEDBACK,
}
"""The files that may change while a run lasts, by their names in a snapshot."""

_ATTEMPTS = 5
_AGAIN = "start a new run"


@dataclass(frozen=True)
class Begun:
    """The parameters and the code when a run began."""

    params: str
    code: str


@dataclass(frozen=True)
class Snapshot:
    """What a run is of: copies of params.yaml and of the collection's records in ``folder``, the
    hash of the ``code``, and DVC's hash of the ``dataset``. ``here``: its first stage ran in this
    clone. Another clone has the dataset from DVC's remote."""

    folder: Path
    code: str
    dataset: str
    here: bool = True

    def files(self) -> dict[str, Path]:
        """The copies by their names, as in :data:`HERE`."""
        return {name: self.folder / name for name in HERE}

    def check(self) -> None:
        """Raise :class:`EidolonError` when the run cannot go on as what it began: its parameters or
        code have changed, or another run has replaced its dataset in the clone that has it."""
        if changed := _changed(self.folder / "params.yaml"):
            raise EidolonError(
                f"params.yaml has changed since this run began ({', '.join(changed)}): {_AGAIN} for"
                " the new values, or restore the old ones and try this task again"
            )
        if self.code != code_hash():
            raise EidolonError(f"the code has changed since this run began: {_AGAIN}")
        if self.here and self.dataset != dataset_hash():
            raise EidolonError(f"data/dataset is no longer the one of this run: {_AGAIN}")


def begin() -> Begun:
    """What is here now: call it before the stage `dataset`."""
    return Begun(config.PARAMS.read_text(), code_hash())


def take(run: str, begun: Begun, attempt: int = 0) -> Snapshot | None:
    """The snapshot of the run ``run``, which has just brought the stage `dataset` up to date.

    ``None`` when pictures were ingested after the stage had read the collection: run it again.
    Raises :class:`TransientError` when that happens at one ``attempt`` after the other, and
    :class:`EidolonError` when the parameters have changed since ``begun``.
    """
    # these load pandas, which most tasks do without
    from components.collection import catalog
    from components.datasets import source

    if begun != begin():
        raise EidolonError(f"params.yaml or the code changed while the dataset was read: {_AGAIN}")
    with catalog.locked():
        if not (was_read("dataset", SOURCE) and source.has_collection()):
            if attempt >= _ATTEMPTS:
                raise TransientError("pictures are ingested faster than the dataset is read")
            return None
        if catalog.unannounced():  # they are in the dataset, but perhaps not in DVC yet
            dvc.run("add", str(PICTURES))
        texts = {name: text_of(path) for name, path in HERE.items()}
        pins = {"code": begun.code, "dataset": dataset_hash()}
    _prune()
    found = _write(run, texts, pins)
    if (objects := shared()) is not None:
        objects.write(_key(run), json.dumps({"files": texts, "pins": pins}).encode())
    return found


def of(run: str) -> Snapshot | None:
    """The snapshot of the run ``run``. ``None`` where its first stage did not run in this clone,
    which then has its data from DVC's shared cache or remote, and machines share no snapshots.

    Raises :class:`EidolonError` when it is damaged, or was removed here because the run is too old,
    and :class:`TransientError` when it lies in shared objects that cannot be reached.
    """
    place = _place(run)
    if place.is_dir():
        pins: Mapping[str, Any] = read_json(place / PINS, _AGAIN)
        if pins.get("here", True):
            return Snapshot(place, pins["code"], pins["dataset"])
    # one that was fetched before may be older: the first stage can be run again
    objects = shared()
    data = None if objects is None else objects.read(_key(run))
    if data is None:
        if place.name in (text_of(FOLDER / GONE) or "").splitlines():
            raise EidolonError(
                f"the run {run} is older than the last {KEPT}, so what it is of is gone: {_AGAIN}"
            )
        return None
    try:
        content = json.loads(data)
        return _write(run, content["files"], content["pins"] | {"here": False})
    except (ValueError, KeyError):
        raise EidolonError(f"the shared snapshot of {run} is damaged: {_AGAIN}") from None


def _write(run: str, texts: Mapping[str, str | None], pins: Mapping[str, Any]) -> Snapshot:
    with folder_aside(_place(run)) as aside:
        for name, text in texts.items():
            if text is not None:
                (aside / name).write_text(text)
        write_json(aside / PINS, pins)
    return Snapshot(_place(run), **pins)


def code_hash() -> str:
    """A hash of all code that stages may run, and of dvc.yaml."""
    files = sorted(p for p in Path("components").rglob("*") if p.suffix in (".py", ".js", ".html"))
    content = [f"{path} {sha256(path)}" for path in (Path("dvc.yaml"), *files)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]


def _changed(before: Path) -> list[str]:
    """The sections of params.yaml that differ from those in ``before``. Comments do not count."""
    old, new = (yaml_text.parsed(path.read_text()) for path in (before, config.PARAMS))
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def _place(run: str) -> Path:
    return FOLDER / file_name(run)


def _key(run: str) -> str:
    return f"snapshots/{_place(run).name}.json"


def _prune() -> None:
    found = sorted(FOLDER.glob("[!.]*"), key=lambda place: place.stat().st_mtime)
    for place in found[: max(0, len(found) - KEPT)]:
        append_line(FOLDER / GONE, place.name)
        shutil.rmtree(place, ignore_errors=True)
