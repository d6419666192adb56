"""Leaves out pictures that were removed for good, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from components.collection.removed import RemovedPictures
from components.datasets.left_out import REMOVED, LeftOut
from components.manifest import DATASET_COLUMNS


def without_removed(
    rows: Iterable[tuple[str, ...]], root: Path, left_out: LeftOut
) -> list[tuple[str, ...]]:
    """``rows`` of the dataset in ``root`` without those of removed pictures, whose files go.

    The numbers of these pictures stay free, so that no other picture changes its place.
    """
    removed, kept = RemovedPictures.read(), []
    for row in rows:
        of = dict(zip(DATASET_COLUMNS, row, strict=False))  # the owner's own columns follow
        entry = removed.find(of["sha256"], of["pixels"])
        if entry is None:
            kept.append(row)
            continue
        (root / of["path"]).unlink()
        left_out.add(Path(of["source"] or of["path"]), REMOVED, entry.reason)
    return kept
