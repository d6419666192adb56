"""From a benchmark's official train and test pictures to what an adapter yields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.datasets.adapter import Source, Split, taken
from components.errors import EidolonError


def source(
    category: str,
    split: Split,
    train: Sequence[Path],
    test: Sequence[Path],
    gallery: int | float | None,
    training: int | float | None,
    sides: Path,
) -> Source:
    """The gallery has official test pictures, training has official train pictures, each the first
    so many in the official order, a share of them, or all for ``None``.

    So every category is searched under one protocol, and the train pictures of an unseen category
    are not used at all. Raises :class:`EidolonError` that names ``sides``, the file with the
    official sides, for a category without pictures on one.
    """
    for side, paths in (("train", train), ("test", test)):
        if not paths:
            raise EidolonError(
                f"{sides} has no {side} picture of {category!r}: it is not the official file, get"
                " it again"
            )
    return Source(
        category=category,
        split=split,
        gallery=test[: taken(gallery, len(test))],
        training=[] if split == "unseen" else train[: taken(training, len(train))],
    )
