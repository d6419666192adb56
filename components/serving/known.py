"""What a bundle knows of a query for one of its categories: by name, by description, or by both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from components.features.queries import mean_text, of_name
from components.kinds import CLASS, DESCRIPTION, Kind
from components.serving.loading import Bundle
from components.vectors import Array

_LISTS = ("addresses", "pictures", "seeds", "agreements")


@dataclass(frozen=True)
class KnownPicture:
    """An imagined picture of the bundle: its address, its path in pictures.zip, its seed, how well
    it agrees with its text, and its features ``vision`` (d_vision,)."""

    address: str
    path: str
    seed: int
    agreement: float
    vision: Array


@dataclass(frozen=True)
class KnownQuery:
    """A query for a category: its text embedding ``text`` (d_clip,), and the pictures that were
    imagined for it."""

    text: Array
    pictures: Sequence[KnownPicture]


def known_query(bundle: Bundle, row: int, kind: Kind) -> KnownQuery | None:
    """The query of one ``kind`` for the category in ``row``; ``None`` without a description."""
    named = _query(
        bundle.text[row], bundle.imagined[row], bundle.accepted[row], bundle.categories, row
    )
    if kind == CLASS:
        return named
    of, listed = bundle.described, bundle.descriptions
    if of is None or listed is None or not of.text[row].any():
        return None
    described = _query(of.text[row], of.imagined[row], of.accepted[row], listed, row)
    if kind == DESCRIPTION:
        return described
    many = bundle.imagined.shape[1]
    first = of_name(many)
    pictures = [*named.pictures[:first], *described.pictures[: many - first]]
    return KnownQuery(mean_text(named.text, described.text), pictures)


def texts_of(bundle: Bundle, row: int) -> list[str]:
    """The descriptions of the category in ``row``."""
    if bundle.descriptions is None:
        return []
    texts: list[str] = json.loads(bundle.descriptions["texts"].iloc[row])
    return texts


def _query(
    text: Array, imagined: Array, accepted: Array, listed: pd.DataFrame, row: int
) -> KnownQuery:
    lists = zip(*(listed[column].iloc[row].split() for column in _LISTS), strict=True)
    pictures = [
        KnownPicture(address, path, int(seed), float(agreement), vision)
        for (address, path, seed, agreement), vision in zip(lists, imagined[accepted], strict=True)
    ]
    return KnownQuery(text, pictures)
