"""What identifies a version: the content of its dvc.lock."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from components import config
from components.errors import EidolonError
from components.paths import LOCK, SHARDS, SOURCE, VALIDATION

_REPEATED = {str(SHARDS), str(SOURCE), str(VALIDATION)}
"""What dvc.lock says more than once: the pictures of all shards, those that are no more among them,
what lay in the source beside the dataset's pictures, and pages about them. data/imagined,
data/dataset, data/accepted and report.json pin all that counts."""


def lock_digest(lock: Path = LOCK) -> str:
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
