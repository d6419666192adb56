"""What was ingested joins what the adapter yields, so that no picture ever changes its place."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd

from components import config, names
from components.collection import catalog
from components.datasets.adapter import Picture, Source, Split
from components.paths import COLLECTION


def merge(
    sources: Sequence[Source], params: config.Dataset, folder: Path = COLLECTION
) -> list[Source]:
    """``sources`` with the collection's pictures behind their own, and then its new categories.

    A new category joins once it has ``params.min_pictures``; a hash of its name puts it into a
    split by ``params.unseen_share`` and ``params.validation_share``, whatever else arrives. Of the
    pictures of a category that may be trained on, the share that the adapter's have goes to
    training, by order of arrival. Raises :class:`EidolonError` for a file that is not there.
    """
    collected = catalog.read(folder)
    files = pd.Series(catalog.files(folder), index=collected.index, dtype=object)
    share = _training_share(sources)
    known = {names.fold(source.category): source for source in sources}
    for folded, rows in collected.groupby(collected["category"].map(names.fold), sort=False):
        key, category = str(folded), str(rows["category"].iloc[0])
        source = known.get(key) or Source(category, _split(category, params), (), ())
        gallery, training = _deal(list(files[rows.index]), source.split, share)
        if key not in known and (
            len(rows) < params.min_pictures or (source.split != "unseen" and not training)
        ):
            continue
        known[key] = replace(
            source,
            gallery=[*source.gallery, *gallery],
            training=[*source.training, *training],
        )
    return list(known.values())


def _training_share(sources: Sequence[Source]) -> float:
    """The share of pictures that train, in the categories that do."""
    trained = [s for s in sources if s.training]
    training = sum(len(s.training) for s in trained)
    return training / max(1, training + sum(len(s.gallery) for s in trained))


def _split(category: str, params: config.Dataset) -> Split:
    digest = hashlib.sha256(f"{params.seed}/{category}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < params.unseen_share:
        return "unseen"
    return "validation" if place < params.unseen_share + params.validation_share else "train"


def _deal(
    files: Sequence[Picture], split: Split, share: float
) -> tuple[list[Picture], list[Picture]]:
    """To gallery and training, evenly, the gallery first."""
    if split == "unseen":
        return list(files), []
    due = [int(share * i + 1e-9) for i in range(len(files) + 1)]
    trains = [after > before for before, after in pairwise(due)]
    return (
        [file for file, train in zip(files, trains, strict=True) if not train],
        [file for file, train in zip(files, trains, strict=True) if train],
    )
