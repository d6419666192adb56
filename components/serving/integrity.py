"""Whether a bundle is whole: its format, and the hash of each of its files. Loads no library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.errors import EidolonError
from components.files import read_json, sha256

FORMAT = 5
"""The format of bundle.json that this release reads and writes."""


def checked(folder: Path, remedy: str) -> dict[str, Any]:
    """What bundle.json says, once every file that it names has its hash.

    Raises :class:`EidolonError`, which ends in ``remedy``, when a file is missing, damaged, or not
    the one that was packed, and for a bundle of another format.
    """
    info: dict[str, Any] = read_json(folder / "bundle.json", remedy)
    if info.get("format") != FORMAT:
        raise EidolonError(f"{folder} has format {info.get('format')}, not {FORMAT}: {remedy}")
    for name, digest in info["files"].items():
        path = folder / name
        if not path.is_file() or sha256(path) != digest:
            raise EidolonError(f"{path} is missing or not the file that was packed: {remedy}")
    return info
