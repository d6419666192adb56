"""Golden queries that go through the live models: the text encoder, the generator, the encoders.

A known category is answered from the bundle's tables, whatever became of the models. So the same
categories are asked for in ways that need each model, and what comes back is compared with what the
bundle has. Models on another device differ by rounding; a wrong or damaged one differs by far more.
The limits lie between both: docs/benchmarks.md has the measurements.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from components import names
from components.api.messages import MAX_HITS, MAX_OFFSET
from components.serving.loading import Bundle
from components.vectors import Array

PHRASES = 4  # categories that are asked for under a free phrase
PHRASE = "a {}"
MIN_TEXT = 0.8  # correlation of the text scores, the median over the phrases
MIN_PHRASE = 0.7  # correlation of the image scores of a phrase's pictures, which are others
MIN_IMAGE = 0.9  # correlation of the image scores of redrawn pictures
MIN_PICTURE = 0.8  # correlation of a redrawn picture's pixels with the bundle's, the median
MAX_AGREEMENT = 0.5  # difference of CLIP's agreement with a redrawn picture, the median

Ask = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Posts a query to `/search` and returns the answer."""

Fetch = Callable[[str], bytes]
"""Returns the picture at an address of an answer."""


class CheckError(Exception):
    """A Bento answered wrongly."""


@dataclass(frozen=True)
class Agreement:
    """How well the live models agree with the bundle: medians.

    ``text``, ``phrase`` and ``image`` are correlations of scores over the gallery: of a phrase's
    text, of a phrase's pictures, and of redrawn pictures. ``picture`` is the correlation of pixels.
    ``clip`` is the difference of CLIP's agreement, in its standard deviations.
    """

    text: float
    phrase: float
    image: float
    picture: float
    clip: float

    def rounded(self) -> dict[str, float]:
        """The figures with the digits that mean something."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def through_models(bundle: Bundle, ask: Ask, fetch: Fetch) -> Agreement:
    """Ask a Bento of ``bundle`` through its live models.

    Raises :class:`CheckError` when a model is not the one that the bundle was made with, or when
    nothing could be drawn.
    """
    row = _steadiest(bundle)
    found = Agreement(
        _texts(bundle, ask), _phrase(bundle, row, ask), *_redrawn(bundle, row, ask, fetch)
    )
    for model, value, limit in (
        ("text encoder", found.text, MIN_TEXT),
        ("generator", found.picture, MIN_PICTURE),
        ("vision encoder", found.image, MIN_IMAGE),
        ("generator or an encoder", found.phrase, MIN_PHRASE),
    ):
        if not value >= limit:  # also when it is not a number
            raise CheckError(
                f"the {model} is not the one that the bundle was made with: its answers correlate"
                f" by {value:.2f} with the bundle's, and {limit} is the least"
            )
    if not found.clip <= MAX_AGREEMENT:
        raise CheckError(
            "CLIP's picture encoder is not the one that the bundle was made with: its judgement of"
            f" the same pictures differs by {found.clip:.2f} standard deviations"
        )
    return found


def _texts(bundle: Bundle, ask: Ask) -> float:
    """The correlation of the text scores under a free phrase with those of the category itself."""
    known = {names.fold(name) for name in bundle.categories["category"]}
    count = len(bundle.categories)
    found = []
    for row in np.unique(np.linspace(0, count - 1, PHRASES).astype(int)).tolist():
        phrase = PHRASE.format(bundle.categories["category"][row])
        if names.fold(phrase) not in known:
            hits = _hits(bundle, ask, {"query": phrase, "mode": "text"})
            found.append(_correlation(hits["text_score"], bundle.gallery.clip, bundle.text[row]))
    return float(np.median(found)) if found else 1.0


def _phrase(bundle: Bundle, row: int, ask: Ask) -> float:
    """The correlation of the image scores under a free phrase with those of the category."""
    phrase = PHRASE.format(bundle.categories["category"][row])
    hits = _hits(bundle, ask, {"query": phrase, "mode": "image"})
    return _correlation(hits["image_score"], bundle.gallery.vision, bundle.aggregated[row])


def _redrawn(bundle: Bundle, row: int, ask: Ask, fetch: Fetch) -> tuple[float, float, float]:
    """A known category is drawn again from the bundle's seeds. Returns the correlation of the image
    scores, that of the pictures, and the difference of CLIP's agreement."""
    listed = bundle.categories.iloc[row]
    columns = ("seeds", "pictures", "agreements")
    ours = {
        int(seed): (path, float(agreement))
        for seed, path, agreement in zip(*(listed[c].split() for c in columns), strict=True)
    }
    query = {
        "query": str(listed["category"]),
        "mode": "image",
        "seed": bundle.info["generator"]["seed"],
    }
    answer = ask(query | {"k": 1})
    same = [one for one in answer["imagined"] if one["seed"] in ours]
    if not same:
        why = answer["degraded"] or "other seeds"
        raise CheckError(f"{query['query']!r} was not drawn again ({why})")
    pictures, differences = [], []
    for one in same:
        path, agreement = ours[one["seed"]]
        pictures.append(_alike(fetch(one["picture"]), bundle.picture(path)))
        if one["agreement"] is not None:
            differences.append(abs(one["agreement"] - agreement))
    hits = _hits(bundle, ask, query)
    image = _correlation(hits["image_score"], bundle.gallery.vision, bundle.aggregated[row])
    return image, float(np.median(pictures)), float(np.median(differences or [np.inf]))


def _steadiest(bundle: Bundle) -> int:
    """The category that kept the most pictures, and of these the one whose pictures CLIP likes
    best: they are fit whatever the rounding."""
    worst = [
        min(map(float, agreements.split()), default=-np.inf)
        for agreements in bundle.categories["agreements"]
    ]
    return int(np.lexsort((worst, bundle.accepted.sum(axis=1)))[-1])


def _hits(bundle: Bundle, ask: Ask, query: dict[str, Any]) -> pd.DataFrame:
    """The best hits of a query, and the worst that can be asked for: the whole gallery if it is
    small. Hits of one end alone have scores too close to each other to be compared."""
    hits = list(ask(query | {"k": MAX_HITS})["hits"])
    if (rest := len(bundle.pictures) - MAX_HITS) > 0:
        offset = min(max(rest, 0), MAX_OFFSET)
        hits += ask(query | {"k": MAX_HITS, "offset": offset})["hits"]
    rows = pd.Index(bundle.pictures["path"]).get_indexer(pd.Index([hit["id"] for hit in hits]))
    table = pd.DataFrame(hits, index=rows)
    if (rows < 0).any():
        raise CheckError(f"{query['query']!r}: a hit is not in the bundle")
    return table[~table.index.duplicated()]


def _correlation(scores: pd.Series, pictures: Array, vector: Array) -> float:
    """Pearson's correlation of live ``scores``, by row of ``pictures`` (N, d), with those of
    ``vector`` (d,): the cosine of both after centring. 0 where all scores are the same."""
    return _pearson(scores.to_numpy(dtype=float), pictures[scores.index] @ vector)


def _alike(drawn: bytes, ours: bytes) -> float:
    """The correlation of the pixels of two pictures, the first in the size of the second."""
    with Image.open(io.BytesIO(ours)) as other:
        wanted = other.convert("RGB")
    with Image.open(io.BytesIO(drawn)) as image:
        resized = image.convert("RGB").resize(wanted.size, Image.Resampling.BICUBIC)
    return _pearson(np.asarray(resized, dtype=float), np.asarray(wanted, dtype=float))


def _pearson(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    a, b = np.ravel(one).astype(float), np.ravel(other).astype(float)
    a, b = a - a.mean(), b - b.mean()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length > 0 else 0.0
