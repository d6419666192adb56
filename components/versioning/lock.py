"""What dvc.lock and pictures.dvc record: the hashes of dataset, collection and version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from components import config
from components.errors import EidolonError
from components.paths import LOCK, POINTER, SHARDS, SOURCE, VALIDATION

_REPEATED = {str(SHARDS), str(SOURCE), str(VALIDATION)}
"""What dvc.lock says more than once: the pictures of all shards, those that are no more among them,
what lay in the source beside the dataset's pictures, and pages about them. data/imagined,
data/dataset, data/accepted and report.json pin all that counts."""


def digest(lock: Path = LOCK) -> str:
    """What identifies a version: the hash of dvc.lock, which pins data, code and parameters.

    Of its content, not its text: shards that run side by side are recorded in any order, and those
    that params.yaml names no more stay in it.
    """
    drawn = {f"imagine@{shard}" for shard in config.load().generator.shards}
    try:
        stages = {
            name: stage | {k: _once(stage[k]) for k in ("deps", "outs") if k in stage}
            for name, stage in yaml.safe_load(lock.read_text())["stages"].items()
            if name in drawn or not (name == "source" or name.startswith("imagine@"))
        }
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError) as error:
        raise EidolonError(f"{lock} cannot be read ({error}): run `dvc repro`") from None
    return hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()[:16]


def _once(pins: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [pin for pin in pins if pin["path"] not in _REPEATED]


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
