"""Reads the hashes of dataset, collection and version from dvc.lock and pictures.dvc."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from components import config, yaml_text
from components.errors import EidolonError
from components.paths import LOCK, POINTER, SHARDS, SOURCE, VALIDATION

_REPEATED = {str(SHARDS), str(SOURCE), str(VALIDATION)}
"""Outputs that do not identify a version, because data/dataset, data/imagined, data/accepted and
report.json pin the same content. They are the pictures of all shards, the record of the source,
which covers unused files too, and the validation pages."""


def digest(lock: Path = LOCK) -> str:
    """The identifier of a version: a hash of dvc.lock, which pins data, code and parameters.

    It hashes the content, not the text, because DVC records parallel shards in any order and keeps
    shards that params.yaml no longer has. Raises :class:`EidolonError` for a damaged file.
    """
    drawn = {f"imagine@{shard}" for shard in config.load().generator.shards}
    try:
        stages = {
            name: stage | {k: _once(stage[k]) for k in ("deps", "outs") if k in stage}
            for name, stage in yaml_text.parsed(lock.read_text())["stages"].items()
            if name in drawn or not (name == "source" or name.startswith("imagine@"))
        }
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError) as error:
        raise EidolonError(f"{lock} cannot be read ({error}): run `dvc repro`") from None
    return hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()[:16]


def _once(pins: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pin for pin in pins if pin["path"] not in _REPEATED]


def dataset_hash(lock: str | None = None) -> str:
    """DVC's hash of the dataset, from the text ``lock`` of a dvc.lock, or else from the one here.

    Raises :class:`EidolonError` when it is missing or damaged.
    """
    try:
        stages = yaml_text.parsed(LOCK.read_text() if lock is None else lock)["stages"]
        return str(stages["dataset"]["outs"][0]["md5"])
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise EidolonError(f"{LOCK} does not name the dataset ({error}): run `dvc repro`") from None


def was_read(stage: str, path: Path) -> bool:
    """Whether ``stage``, as dvc.lock records it, read the file ``path`` with its present content.

    Raises :class:`EidolonError` when dvc.lock is missing or damaged.
    """
    try:
        deps = yaml_text.parsed(LOCK.read_text())["stages"][stage]["deps"]
        recorded = {dep["path"]: dep["md5"] for dep in deps}[str(path)]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise EidolonError(f"{LOCK} does not name {path} ({error}): run `dvc repro`") from None
    with path.open("rb") as file:
        return bool(recorded == hashlib.file_digest(file, "md5").hexdigest())


def collection_hash(pointer: str | None) -> str:
    """DVC's hash of a collection's pictures, from the text of its pictures.dvc.

    An empty string if there is no pictures.dvc. Raises :class:`EidolonError` for a damaged one.
    """
    if pointer is None:
        return ""
    try:
        return str(yaml_text.parsed(pointer)["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError) as error:
        raise EidolonError(
            f"{POINTER} is damaged ({error!r}): run `git checkout {POINTER}`"
        ) from None
