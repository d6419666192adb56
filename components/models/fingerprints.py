"""What identifies a pre-trained model, and how it computes here, found without loading it.

A commit pins a model of a hub, and a commit cannot change. A hash over its files pins a local
folder. No library of models is imported, so that a stage that finds nothing to do begins at once.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from components.errors import EidolonError
from components.file_hashes import FileHashes
from components.files import sha256
from components.paths import HOME

_PINNED_BY = {".json", ".model", ".safetensors", ".txt"}  # .model: a SentencePiece vocabulary


def fingerprint(model: str, revision: str | None) -> str:
    """What identifies a model's version: its commit on the hub, or a hash over a folder's files.

    Needs no network, and reads no weights of a hub.
    """
    if not is_local(model, revision):
        return pinned_name(model, revision)
    folder = Path(model)
    files = sorted(p for p in folder.rglob("*") if p.suffix in _PINNED_BY)
    digests = json.dumps([(p.relative_to(folder).as_posix(), _sha256(p)) for p in files])
    return f"{folder.name}@{hashlib.sha256(digests.encode()).hexdigest()[:12]}"


def content_of(fingerprint: str) -> str:
    """The part of a fingerprint that tells the content, wherever its folder is."""
    return fingerprint.rpartition("@")[2]


def _sha256(file: Path) -> str:
    """The SHA-256 of a file. That of a large file is remembered until the file is changed."""
    if file.stat().st_size < _LARGE or not HOME.is_dir():
        return sha256(file)
    hashes = FileHashes()
    digest = hashes.sha256(file)
    hashes.save()
    return digest


_LARGE = 64 << 20  # bytes; a smaller file is hashed faster than it is worth to remember


def pinned_name(model: str, revision: str | None) -> str:
    """The model's name, with its commit if there is one."""
    return f"{model}@{revision}" if revision else model


def is_local(model: str, revision: str | None) -> bool:
    """Whether ``model`` is a local folder. Raises :class:`EidolonError` when that is unclear."""
    found = Path(model).is_dir()
    if found and revision:
        raise EidolonError(
            f"{model} is a folder here, and a revision is for models of a hub: set it to null"
        )
    if found or revision:
        return found
    remedy = (
        restoring(model)
        if model.startswith("zoo/")
        else "give a folder that exists; or, to load it from the hub, set its revision to a commit,"
        f" such as the one that `git ls-remote https://huggingface.co/{model} HEAD` prints"
    )
    raise EidolonError(f"{model} is no folder here: {remedy}")


def restoring(model: str) -> str:
    """How a model of the zoo is brought back."""
    return f"`git checkout {model}` restores it, `make zoo` trains it again"


def arithmetic() -> str:
    """The kind of device that models compute on here, and their number type: "cpu float32".

    Only a PyTorch that could use an accelerator is asked, because importing it takes seconds.
    """
    if version("torch").endswith("+cpu"):
        return "cpu float32"
    from components.models.checkpoints import device, precision

    return f"{device().type} {str(precision()).removeprefix('torch.')}"


def number_type() -> str:
    """The type of number in which models compute here: the second word of :func:`arithmetic`."""
    return arithmetic().split()[1]
