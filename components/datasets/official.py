"""Turns a benchmark's official train and test pictures into a category."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.datasets.adapter import Category, Split, number_of
from components.errors import EidolonError


def category(
    name: str,
    split: Split,
    train: Sequence[Path],
    test: Sequence[Path],
    gallery: int | float | None,
    training: int | float | None,
    listed_in: Path,
) -> Category:
    """A category with official test pictures as gallery and train pictures as training.

    ``gallery`` and ``training`` say how many to use, as in
    :func:`components.datasets.adapter.number_of`; the first in the official order are used. The
    rule is the same for all splits, so every category is searched under one protocol. The train
    pictures of an unseen category stay unused.

    Raises :class:`EidolonError` for a category without train or without test pictures. The error
    names ``listed_in``, the file with the official division.
    """
    for part, paths in (("train", train), ("test", test)):
        if not paths:
            raise EidolonError(
                f"{listed_in} has no {part} picture of {name!r}, so it is not the official file:"
                " download it again"
            )
    return Category(
        name=name,
        split=split,
        gallery=test[: number_of(gallery, len(test))],
        training=[] if split == "unseen" else train[: number_of(training, len(train))],
    )
