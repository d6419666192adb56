"""Arrays that are kept to save time: they may be missing, damaged, or made by other code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from components.files import file_aside

Arrays = Mapping[str, npt.NDArray[Any]]


def read(file: Path, made_by: str) -> Arrays | None:
    """What :func:`write` wrote, or None if ``file`` is missing or damaged, or if something else
    than ``made_by`` made it."""
    try:
        with safe_open(file, framework="np") as kept:
            about = kept.metadata()
            arrays = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return arrays if about == _about(arrays, made_by) else None


def write(file: Path, arrays: Arrays, made_by: str) -> None:
    """Keep ``arrays``, as made by ``made_by``: the code, and what else they depend on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file_aside(file) as aside:
        save_file(dict(arrays), aside, metadata=_about(arrays, made_by))


def _about(arrays: Arrays, made_by: str) -> dict[str, str]:
    """What tells a whole file of ``made_by`` from others."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return {"made_by": made_by, "sha256": digest.hexdigest()}
