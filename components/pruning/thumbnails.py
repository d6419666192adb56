"""Thumbnails of pictures that are neither here nor in a kept version.

A thumbnail can be made again from its picture, so removing one costs only time. But a version
without pictures of its own needs those that it names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from components import tables
from components.lifecycle import registry
from components.lifecycle.registry import Registered
from components.paths import ACCEPTED, DATASET
from components.pruning.garbage import Garbage, hashes_of, size
from components.serving.thumbnails import VARIABLE, Thumbnails

_NAMED = "bundle/pictures.csv"


def unused(kept: Iterable[Registered]) -> Garbage | None:
    """The thumbnails that no bundle of ``kept`` names, of pictures that are neither in the dataset
    here nor among its accepted imagined ones.

    ``None`` where `EIDOLON_THUMBNAILS` names a place: other clones may share it.
    """
    if os.environ.get(VARIABLE):
        return None
    needed = set()
    for version in kept:
        with suppress(registry.MissingArtifactError):  # its bundle has its own
            text = registry.artifacts(version, _NAMED)[_NAMED]
            needed |= set(tables.parse(text, ("key",), _NAMED, "name another version")["key"])
    here = hashes_of(folder / "manifest.csv" for folder in (DATASET, ACCEPTED))
    files = [
        file for file in Thumbnails().beside(needed) if file.name.partition("-")[0] not in here
    ]

    def remove() -> None:
        for file in files:
            file.unlink(missing_ok=True)

    return Garbage("thumbnails", len(files), size(files), remove)
