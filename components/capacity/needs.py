"""From sizes to needs: a formula for each, over the costs of :mod:`components.capacity.costs`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.capacity.costs import costs

_MILLION, _HOUR = 1e6, 3600
_PAIRS_GROW = 1.71  # log10 of 107 s for a million pictures over 2.1 s for 100,000
_BUSY = 0.7  # the share of a core or card that is planned for; the rest is for peaks


@dataclass(frozen=True)
class Sizes:
    """What is asked for.

    ``pictures`` of the gallery, and ``training`` pictures beside them; ``categories``, with
    ``drawn`` imagined pictures each; ``queries`` a second, of which the share ``new`` are texts
    that must be drawn, with ``per_text`` pictures each; ``picture_bytes`` of one file, on average;
    ``epochs`` of training; ``versions`` that are kept; ``cards`` for a retraining.
    """

    pictures: float
    categories: float
    queries: float
    training: float = 0
    drawn: int = 8
    per_text: int = 4
    new: float = 0.05
    picture_bytes: float = 200_000
    epochs: int = 20
    versions: int = 5
    cards: int = 1


@dataclass(frozen=True)
class Need:
    """One need: its ``value`` in ``unit``, and the ``formula`` in words. ``part`` groups them."""

    part: str
    what: str
    value: float
    unit: str
    formula: str


def needs(sizes: Sizes) -> list[Need]:
    """All needs of ``sizes``."""
    one = {name: cost.value for name, cost in costs().items()}
    return [*_retraining(sizes, one), *_serving(sizes, one), *_kept(sizes, one)]


def _retraining(s: Sizes, one: Mapping[str, float]) -> Iterator[Need]:
    imagined = s.categories * s.drawn
    encoding = 1 / one["clip"] + 1 / one["vision"]
    known = s.pictures + s.training
    first = (imagined / one["drawn"] + (known + imagined) * encoding) / _HOUR
    category = s.drawn / one["drawn"] + (s.drawn + known / max(s.categories, 1)) * encoding
    part = "retraining"
    yield Need(
        part,
        "the first run",
        first,
        "card hours",
        "imagined / drawn + (pictures + training + imagined) · (1/clip + 1/vision)",
    )
    yield Need(part, "the same on your cards", first / s.cards, "hours", "card hours / cards")
    yield Need(
        part,
        "one more category",
        category,
        "card seconds",
        "the same for one category: the rest is in the stores",
    )
    yield Need(
        part,
        "training",
        one["trained"] * s.epochs * s.training / _MILLION / _HOUR,
        "core hours",
        "trained · epochs · training",
    )
    yield Need(
        part,
        "the index",
        one["indexed"] * s.pictures / _MILLION / _HOUR,
        "core hours",
        "indexed · pictures",
    )
    yield Need(
        part,
        "ingestion of all pictures",
        one["ingested"] / 1000 * known / _HOUR,
        "core hours",
        "ingested · (pictures + training); it grows from 1.5 ms at 1,000",
    )
    pairs = one["pairs"] * (known / _MILLION) ** _PAIRS_GROW / _HOUR
    yield Need(
        part,
        "pairs of similar pictures",
        pairs,
        "core hours",
        "pairs · millions^1.71, as it grew from 100,000 to 1,000,000",
    )
    yield Need(
        part,
        "copies among imagined pictures",
        one["compared"] / 1e9 * imagined**2 / 2 / _HOUR,
        "core hours",
        "compared · imagined² / 2; later what is new with all",
    )


def _serving(s: Sizes, one: Mapping[str, float]) -> Iterator[Need]:
    fresh = s.queries * s.new
    part = "serving"
    yield Need(
        part,
        "cards that draw",
        math.ceil(fresh * s.per_text / one["served"]),
        "cards",
        "queries · new · pictures a text / served, rounded up",
    )
    yield Need(
        part,
        "memory of each card",
        one["memory"],
        "GiB",
        "memory; serve.idle_seconds gives it back while nothing is drawn",
    )
    yield Need(
        part,
        "cores that search",
        s.queries * one["searched"] * s.pictures / _MILLION / _BUSY,
        "cores",
        f"queries · searched · pictures, {_BUSY:.0%} busy",
    )
    yield Need(
        part,
        "cores that read texts",
        fresh * one["text"] / _BUSY,
        "cores",
        f"queries · new · text, {_BUSY:.0%} busy",
    )
    yield Need(
        part,
        "memory of a machine that searches",
        s.pictures * (one["codes"] + one["hubness"]) / 2**30,
        "GiB",
        "pictures · (codes + hubness); float32 stays on its disk",
    )


def _kept(s: Sizes, one: Mapping[str, float]) -> Iterator[Need]:
    known, imagined = s.pictures + s.training, s.categories * s.drawn
    index = s.pictures * (one["features"] + one["codes"] + one["hubness"])
    part = "kept"
    yield Need(
        part,
        "pictures",
        2 * known * s.picture_bytes / 1e12,
        "TB",
        "(pictures + training) · bytes, here and in the remote",
    )
    yield Need(
        part,
        "imagined pictures",
        imagined * one["png"] / 1e12,
        "TB",
        "categories · drawn · png, at most",
    )
    yield Need(
        part,
        "features",
        (known + imagined) * one["features"] / 1e12,
        "TB",
        "(pictures + training + imagined) · features",
    )
    yield Need(
        part,
        "bundles",
        s.versions * index / 1e12,
        "TB",
        "versions · pictures · (features + codes + hubness)",
    )
    yield Need(
        part,
        "network for a new version",
        index / 1e9,
        "GB a machine",
        "pictures · (features + codes + hubness)",
    )
