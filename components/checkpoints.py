"""Pre-trained models by folder or by name on a hub: loading them safely, and what pins them.

A model of a hub is pinned to a commit, which cannot change; a local folder is pinned by a hash over
its files. Weights are read from safetensors alone, and no code that a model brings is ever run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError, safe_open

from components.errors import EidolonError
from components.files import sha256

_CONFIGS = ("model_index.json", "config.json")  # of a pipeline, of a single model
_PINNED_BY = {".json", ".model", ".safetensors", ".txt"}  # .model: a SentencePiece vocabulary


def device() -> torch.device:
    """The accelerator when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision() -> torch.dtype:
    """What models compute in: bfloat16 on an accelerator (float16 on one that lacks it), which
    halves memory and is several times as fast; float32 on the CPU."""
    if device().type == "cpu":
        return torch.float32
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def load(loader: Callable[..., Any], model: str, revision: str | None, **options: Any) -> Any:
    """Call a ``from_pretrained``: of a folder without a ``revision``, else of a hub's commit.

    Raises :class:`EidolonError` that names the model and the remedy when a file is missing or
    damaged.
    """
    local = _is_local(model, revision)
    try:
        return loader(
            model, revision=revision, local_files_only=local, trust_remote_code=False, **options
        )
    except (ImportError, OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = _culprit(_folder(model, revision), error)
        if model.startswith("zoo/"):
            remedy = f"`git checkout {model}` restores it, `make zoo` trains it anew"
        elif local:
            remedy = "give a folder that save_pretrained wrote"
        else:
            remedy = "see that the hub is within reach, or that its cache holds this commit"
        raise EidolonError(
            f"cannot load {pinned_name(model, revision)} ({first}): {remedy}"
        ) from None


def fingerprint(model: str, revision: str | None) -> str:
    """What pins a model: the commit on its hub, or a hash over a local folder's files.

    Reads no weights of a hub, and needs no network.
    """
    if not _is_local(model, revision):
        return pinned_name(model, revision)
    folder = Path(model)
    files = sorted(p for p in folder.rglob("*") if p.suffix in _PINNED_BY)
    digests = json.dumps([(p.relative_to(folder).as_posix(), sha256(p)) for p in files])
    return f"{folder.name}@{hashlib.sha256(digests.encode()).hexdigest()[:12]}"


def pinned_name(model: str, revision: str | None) -> str:
    """The model with the commit that pins it, if any."""
    return f"{model}@{revision}" if revision else model


def _is_local(model: str, revision: str | None) -> bool:
    """Whether ``model`` is a folder here. Raises :class:`EidolonError` when that is not clear."""
    found = Path(model).is_dir()
    if found and revision:
        raise EidolonError(
            f"{model} is a folder here, and a revision is for models of a hub: set it to null"
        )
    if found or revision:
        return found
    remedy = (
        f"`git checkout {model}` restores it, `make zoo` trains it anew"
        if model.startswith("zoo/")
        else "to take it from the hub, set its revision to a commit, such as the one that"
        f" `git ls-remote https://huggingface.co/{model} HEAD` prints"
    )
    raise EidolonError(f"{model} is no folder here: {remedy}")


def _folder(model: str, revision: str | None) -> Path | None:
    """Where the model's files lie, if a load got so far as to fetch its config."""
    if Path(model).is_dir():
        return Path(model)
    for config in _CONFIGS:
        found = try_to_load_from_cache(model, config, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    return None


def _culprit(folder: Path | None, error: Exception) -> str:
    """What is wrong with a model's files, or else what ``error`` says first."""
    files = sorted(folder.rglob("*")) if folder else []
    for path in files:
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    file.keys()
        except (OSError, ValueError, SafetensorError) as damage:
            return f"{path} is damaged: {damage}"
    if "safetensors" in str(error) and not any(p.suffix == ".safetensors" for p in files):
        return (
            "no safetensors weights are there, and pickled ones (.bin, .pt) are never opened, since"
            " they can run code: where you trust them, save_pretrained writes them anew"
        )
    return str(error).strip().splitlines()[0]
