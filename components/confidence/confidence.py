"""How likely it is that the gallery has what a text asks for.

Every search gives a list, and a similarity alone does not say whether the list is worth anything:
nonsense has neighbours too. So eight features of a query are put into one probability. A logistic
regression weighs them and their products, and the stage `calibrate` fits it to texts whose answer
is known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.errors import EidolonError
from components.features.queries import Bools
from components.files import read_json
from components.index.gallery import Gallery, Stream, Streams
from components.vectors import Array, normalized

Floats = npt.NDArray[np.float64]

FEATURES = (
    "text_top",
    "text_mean",
    "text_peak",
    "text_margin",
    "text_near",
    "text_length",
    "image_top",
    "image_margin",
)
"""What :func:`features_of` measures, in this order."""

OF_TEXT = 6
"""How many of :data:`FEATURES` need no imagined picture; these come first."""

BEST = 5
"""How many pictures of the gallery count as the top."""

DIGITS = 4  # decimals of a confidence
_FARTHEST = 3.0  # standard deviations
_WIDEST = 30.0  # logit beyond which a probability is 0 or 1 in any case


class Exact(NamedTuple):
    """``vectors`` (C, d) in double precision, and which of them ``exist`` (C,): are not zero."""

    vectors: Floats
    exist: Bools

    @classmethod
    def of(cls, vectors: Array) -> Exact:
        """Those of ``vectors`` (C, d)."""
        return cls(vectors.astype(np.float64), np.asarray(vectors.any(axis=1)))


@dataclass(frozen=True)
class Known:
    """The known categories: ``text`` (C, d_clip), and ``aggregated`` (C, d_vision), zero where a
    category has no accepted picture."""

    text: Array
    aggregated: Array

    @cached_property
    def directions(self) -> Floats:
        """(C, d_clip): the unit vectors of ``text``."""
        return normalized(self.exact_text.vectors)

    @cached_property
    def exact_text(self) -> Exact:
        """``text``, converted once for all queries."""
        return Exact.of(self.text)

    @cached_property
    def exact_aggregated(self) -> Exact:
        """``aggregated``, converted once for all queries."""
        return Exact.of(self.aggregated)


def features_of(
    text: Array,
    streams: Streams,
    gallery: Gallery,
    known: Known,
    own: int | npt.NDArray[np.intp] | None = None,
) -> Floats:
    """The eight :data:`FEATURES` of one query: (8,), NaN for what cannot be measured.

    ``text`` (d_clip,) is the text embedding. ``streams`` has the :data:`BEST` pictures of
    ``gallery`` by text and by image, without a correction for hubness. ``own`` are the rows of
    ``known`` that the query is itself, which do not count as others.

    "The top" are the five pictures with the largest similarity. ``*_top`` is their mean similarity,
    and ``text_mean`` that of the whole gallery, which is large for broad texts such as "star".
    ``text_peak`` is how many standard deviations of the gallery lie between the two.
    ``*_margin`` is how much nearer the top is to this query than each picture of it is to the
    nearest known category: the inverted softmax of :mod:`components.index.hubness` at temperature
    zero. ``text_near`` is the cosine to the nearest known category. ``text_length`` is the length
    of the text embedding: the mean of unit vectors is long when all templates agree.
    """
    exact = text.astype(np.float64)
    others = np.ones(len(known.text), dtype=bool)
    others[[] if own is None else own] = False
    near = float((known.directions @ normalized(exact))[others].max()) if others.any() else math.nan
    length = float(np.linalg.norm(exact))
    top_text, margin_text = _top(streams.text, gallery.clip, known.exact_text, others)
    peak = (top_text - streams.mean) / streams.spread if streams.spread > 0 else 0.0
    found = [top_text, streams.mean, peak, margin_text, near, length]
    if streams.image is None:
        return np.array([*found, math.nan, math.nan])
    return np.array([*found, *_top(streams.image, gallery.vision, known.exact_aggregated, others)])


def _top(best: Stream, pictures: Array, known: Exact, others: Bools) -> tuple[float, float]:
    """The mean of the scores that are ``best``, and how far those are on average above the
    similarity of the same ``pictures`` (N, d) to the nearest of ``known`` that is among the
    ``others`` (C,)."""
    compared = others & known.exist
    found = best.scores.astype(np.float64)
    if not compared.any():
        return float(found.mean()), math.nan
    similar = (pictures[best.rows].astype(np.float64) @ known.vectors.T)[:, compared]
    return float(found.mean()), float((found - similar.max(axis=1)).mean())


def terms(standard: Floats) -> Floats:
    """The terms that a regression weighs: features (Q, F) and all products of two of them, squares
    included: (Q, F + F·(F+1)/2)."""
    one, other = np.triu_indices(standard.shape[1])
    return np.concatenate([standard, standard[:, one] * standard[:, other]], axis=1)


@dataclass(frozen=True)
class Logistic:
    """A logistic regression on standardised features, and the least value that counts as relevant.

    The value is ``1 / (1 + exp(-(bias + Σ weight·term)))``, with the :func:`terms` of
    ``(feature - mean) / scale``.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    threshold: float

    def standard(self, found: Floats) -> Floats:
        """The features ``found`` (Q, F), standardised: (Q, F), at most 3 away from 0. So a text
        unlike all others is not extrapolated to. A feature that is not a number counts as average.
        """
        with np.errstate(over="ignore"):
            away = (found - np.array(self.mean)) / np.array(self.scale)
        return np.clip(np.where(np.isnan(away), 0.0, away), -_FARTHEST, _FARTHEST)

    def __call__(self, found: Floats) -> Floats:
        """The probabilities (Q,) of queries with the features ``found`` (Q, F)."""
        logit = self.bias + (terms(self.standard(found)) * np.array(self.weights)).sum(axis=1)
        value: Floats = 1 / (1 + np.exp(-np.clip(logit, -_WIDEST, _WIDEST)))
        return value


@dataclass(frozen=True)
class Confidence:
    """The fitted confidence: ``text`` for a query that nothing was imagined for, ``full`` else.

    ``least_agreement`` is the mean agreement of a text's pictures from which on they are worth
    ranking by (:mod:`components.confidence.agreeing`); None if they always are.
    """

    text: Logistic
    full: Logistic
    least_agreement: float | None = None

    def __call__(self, found: Floats) -> tuple[float, bool]:
        """The confidence, from 0 to 1, that the gallery has what was asked for, and whether that
        is enough to call the answer relevant. ``found`` (8,) is from :func:`features_of`."""
        imagined = bool(np.isfinite(found[OF_TEXT:]).any())
        model, used = (self.full, found) if imagined else (self.text, found[:OF_TEXT])
        value = round(float(model(used[None])[0]), DIGITS)
        return value, value >= model.threshold

    def disagrees(self, agreements: Sequence[float]) -> bool:
        """Whether the pictures of a text, which agree with it so much, are not worth ranking by."""
        return (
            self.least_agreement is not None
            and len(agreements) > 0
            and float(np.mean(agreements)) < self.least_agreement
        )

    def save(self, path: Path) -> None:
        """Write this as JSON."""
        path.write_text(json.dumps({"features": FEATURES, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Confidence:
        """Read what :meth:`save` wrote.

        Raises :class:`EidolonError` when the file is missing, damaged, or of other features.
        """
        remedy = "run `dvc repro calibrate`"
        read = read_json(path, remedy)
        try:
            if tuple(read["features"]) != FEATURES:
                raise ValueError
            least = read.get("least_agreement")  # bundles of older releases have none
            return cls(
                _logistic(read["text"], OF_TEXT),
                _logistic(read["full"], len(FEATURES)),
                None if least is None else _finite(least),
            )
        except (KeyError, TypeError, ValueError):
            raise EidolonError(f"{path} holds no confidence: {remedy}") from None


def _finite(number: Any) -> float:
    """Raises :class:`ValueError` or :class:`TypeError` unless it is a finite number."""
    if not math.isfinite(value := float(number)):
        raise ValueError
    return value


def _logistic(read: dict[str, Any], count: int) -> Logistic:
    """Raises :class:`ValueError` unless it is for ``count`` features, and every number finite."""
    mean, scale, weights = (tuple(map(float, read[name])) for name in ("mean", "scale", "weights"))
    bias, threshold = float(read["bias"]), float(read["threshold"])
    lengths = [len(mean), len(scale), len(weights)]
    finite = all(map(math.isfinite, (*mean, *scale, *weights, bias, threshold)))
    if lengths != [count, count, count + count * (count + 1) // 2] or not finite or not all(scale):
        raise ValueError
    return Logistic(mean, scale, weights, bias, threshold)
