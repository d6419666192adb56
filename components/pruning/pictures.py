"""Imagined pictures in the store that nothing has asked for in a while, and no kept version shows.

Any picture may be drawn again, so removing one costs only time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from components import manifest, tables
from components.imagining.store import Store
from components.lifecycle import registry
from components.lifecycle.registry import Registered
from components.paths import ACCEPTED, IMAGINED, VALIDATION
from components.pruning.garbage import Garbage, size

DAY = 24 * 3600.0


def unused(kept: Iterable[Registered], days: float) -> Garbage | None:
    """The pictures that neither the versions in ``kept`` nor the stages' outputs here have, and
    that no process has asked for in ``days`` days.

    ``None`` where `EIDOLON_STORE` names a folder: other clones may share it.
    """
    if os.environ.get("EIDOLON_STORE"):
        return None
    store, needed = Store(), _here()
    for version in kept:
        path = "lineage/accepted.csv"
        with suppress(registry.MissingArtifactError):  # a version of an older release
            text = registry.artifacts(version, path)[path]
            needed |= set(manifest.kept(text, ("address",), path)["address"])
    oldest = time.time() - days * DAY
    files = [
        file
        for file in sorted(store.root.glob("??/*.png"))
        if file.stem not in needed and file.stat().st_atime < oldest
    ]

    def remove() -> None:
        for file in files:
            if file.stat().st_atime < oldest:  # it may have been asked for meanwhile
                file.unlink()

    return Garbage("imagined pictures", len(files), size(files), remove)


def _here() -> set[str]:
    """The addresses that outputs of stages name here."""
    files = (
        IMAGINED / "manifest.csv",
        ACCEPTED / "manifest.csv",
        VALIDATION / "measurements.csv",
    )
    return set().union(*(_addresses(file) for file in files if file.is_file()))


def _addresses(file: Path) -> set[str]:
    return set(tables.read(file, ("address",), "run `dvc repro validate`")["address"])
