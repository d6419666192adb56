"""Checkpoints of models: to load, to damage, and to put where a hub's download would."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components import config
from components.errors import EidolonError
from tests import families, toy
from tests.rounding import of_dot

TEXTS = ["a photo of a red plain star", "blue ring", "a picture of a green checked cross " * 5]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOLERANCE = 64 * of_dot(1)
"""Of a value in a vector of length one: the models here sum up to 64 products at a time, and norm
what comes out of each layer. The largest seen on three kernels of PyTorch was 1.8e-7."""


def copied(source: Path, to: Path) -> Path:
    shutil.copytree(source, to)
    return to


def change(file: Path, entries: Any) -> None:
    """Change entries of a JSON object, or all of the file where ``entries`` are none."""
    settings = json.loads(file.read_text())
    settings = settings | entries if isinstance(entries, dict) else entries
    file.write_text(json.dumps(settings))


def refused(load: Callable[[], object], reason: str) -> None:
    """``load`` raises one sentence with ``reason`` and the remedy for a folder."""
    with pytest.raises(EidolonError, match=f"cannot load .*{reason}.*: give a folder") as caught:
        load()
    assert "\n" not in str(caught.value)


def as_variant(folder: Path) -> None:
    """Name weights as those of the variant fp16."""
    for file in list(folder.rglob("*.safetensors")):
        file.rename(file.with_suffix(".fp16.safetensors"))


def parameters(model: Path, **changes: Any) -> config.Generator:
    turbo = {"steps": 1, "guidance": 0.0, "size": families.SIZE, "batch": 3}
    chosen = toy.params(Path("models"), Path("pictures"))["generator"]
    return config.Generator.model_validate(chosen | turbo | {"model": str(model)} | changes)


PROMPTS = ["a red star", "a blue ring", "a red star", "a green cross"]


def to_hub(home: Path, name: str, source: Path) -> None:
    """Put a model into the cache of a hub, where a download would leave it."""
    place = home / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(source, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("f" * 40)  # the branch has newer commits


def out_of_reach(model: str, why: str) -> re.Pattern[str]:
    return re.compile(
        rf"cannot load {model}@{COMMIT}: the cache does not hold it whole, and {why}:"
        rf" `HF_HUB_OFFLINE=0 hf download {model} --revision {COMMIT}` fetches it"
    )
