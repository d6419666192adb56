"""Pre-trained models by folder or by name on a hub: loading them safely, and what pins them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from components.errors import EidolonError
from components.files import sha256


def device() -> torch.device:
    """The accelerator when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(loader: Callable[..., Any], model: str, revision: str | None, **options: Any) -> Any:
    """Call a ``from_pretrained``; a local folder is never looked up elsewhere.

    Raises :class:`EidolonError` that names the model and the remedy when a file is missing or
    damaged.
    """
    local = Path(model).is_dir()
    try:
        return loader(model, revision=revision, local_files_only=local, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = _culprit(Path(model)) or str(error).strip().splitlines()[0]
        remedy = (
            f"`git checkout {model}` restores it, `make zoo` trains it anew"
            if model.startswith("zoo/")
            else "give a folder that save_pretrained wrote, or a name on a hub within reach"
        )
        raise EidolonError(f"cannot load {model} ({first}): {remedy}") from None


def _culprit(folder: Path) -> str:
    """The first file of a local model that cannot be read, or an empty string."""
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    file.keys()
        except (OSError, ValueError, SafetensorError) as error:
            return f"{path} is damaged: {error}"
    return ""


def fingerprint(model: str, revision: str | None) -> str:
    """What pins a model: its hub revision, or a hash over a local folder's files."""
    folder = Path(model)
    if not folder.is_dir():
        return f"{model}@{revision or 'main'}"
    files = sorted(p for p in folder.rglob("*") if p.suffix in {".json", ".safetensors", ".txt"})
    digests = json.dumps([(p.relative_to(folder).as_posix(), sha256(p)) for p in files])
    return f"{folder.name}@{hashlib.sha256(digests.encode()).hexdigest()[:12]}"
