"""The gallery and its scores. Evaluation and serving both score here, so that what is measured is
what is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.index.hubness import hubness
from components.vectors import Array


class Scores(NamedTuple):
    """The scores of Q queries for N gallery pictures, each (Q, N).

    ``fused`` is the score that ranks. ``text`` is the similarity to the text embedding, and
    ``image`` that to the aggregated embedding. ``hubness`` is what ``fused`` subtracts.
    """

    fused: Array
    text: Array
    image: Array
    hubness: Array


class Hubness(NamedTuple):
    """The :func:`components.index.hubness.hubness` of each picture in both spaces, each (N,)."""

    clip: Array
    vision: Array


class Stream(NamedTuple):
    """The pictures that are most similar to a query in one space: ``rows`` and ``scores`` (k,)."""

    rows: npt.NDArray[np.intp]
    scores: npt.NDArray[np.floating]


class Streams(NamedTuple):
    """Both spaces of one query apart, in the whole gallery, without a correction for hubness.

    ``mean`` and ``spread`` are the mean and the standard deviation of its text scores. ``image`` is
    None for a query without an aggregated embedding.
    """

    text: Stream
    image: Stream | None
    mean: float
    spread: float


@dataclass(frozen=True)
class Gallery:
    """The pictures that are searched.

    ``clip`` (N, d_clip) and ``vision`` (N, d_vision) have rows of length one. ``clip_hubness`` and
    ``vision_hubness`` (N,) are each picture's :func:`hubness` in both spaces, or 0 for no
    correction.
    """

    clip: Array
    vision: Array
    clip_hubness: Array | float = 0.0
    vision_hubness: Array | float = 0.0

    @classmethod
    def with_query_bank(
        cls, clip: Array, vision: Array, text: Array, aggregated: Array, temperature: float
    ) -> Gallery:
        """The gallery of these pictures, with a hubness correction from a query bank.

        The bank is ``text`` (B, d_clip) and ``aggregated`` (B, d_vision). It must hold the
        categories of *all* these pictures. A picture whose category is missing has no query near
        it. It is corrected too little, and so ranks too high for every other query.
        """
        return cls(
            clip, vision, hubness(text, clip, temperature), hubness(aggregated, vision, temperature)
        )

    @property
    def hubness(self) -> Hubness:
        """The correction of each picture, 0 where there is none."""
        clip, vision = (
            np.broadcast_to(np.asarray(each, dtype=np.float32), len(self.clip))
            for each in (self.clip_hubness, self.vision_hubness)
        )
        return Hubness(clip, vision)

    @property
    def uncorrected(self) -> Gallery:
        """The same pictures without the correction, for a text that is not in the query bank.

        Such a text may cover several known categories, as "red star" does. The correction would
        lower exactly the pictures that fit one of them best (docs/results.md has the figures).
        """
        return Gallery(self.clip, self.vision)

    def score(self, text: Array, aggregated: Array, fusion_weight: float | Array) -> Scores:
        """The scores of Q queries: ``(1-λ)·<text, CLIP(x)> + λ·<aggregated, DINO(x)>`` for each
        picture x (paper, section 3), minus its hubness ``(1-λ)·h(x) + λ·h'(x)``.

        This is one dot product: of ``[(1-λ)·(text, 1) ; λ·(aggregated, 1)]`` with the picture's row
        ``[CLIP(x), -h(x) ; DINO(x), -h'(x)]``. ``text`` is (Q, d_clip) and ``aggregated`` is
        (Q, d_vision). ``fusion_weight`` is λ: a number, or a column (Q, 1). A query without an
        accepted imagined picture has a zero row in ``aggregated``. Its score is by text alone.
        """
        by_text, by_image = _similar(text, self.clip), _similar(aggregated, self.vision)
        return self.fuse(by_text, by_image, np.asarray(aggregated.any(axis=1)), fusion_weight)

    def fuse(
        self,
        by_text: Array,
        by_image: Array,
        imagined: npt.NDArray[np.bool_],
        fusion_weight: float | Array,
    ) -> Scores:
        """The :meth:`score` of Q queries from their similarities to all pictures, each (Q, N).

        ``imagined`` (Q,) are the queries that have an accepted imagined picture.
        """
        lam: Array = np.where(imagined[:, None], fusion_weight, 0).astype(np.float32)
        each = (1 - lam) * self.clip_hubness + lam * self.vision_hubness
        subtracted = np.broadcast_to(each, by_text.shape)
        return Scores(
            (1 - lam) * by_text + lam * by_image - subtracted, by_text, by_image, subtracted
        )


def _similar(queries: Array, pictures: Array) -> Array:
    """``queries @ pictures.T``, without reading the pictures when all queries are zero."""
    if not queries.any():
        return np.zeros((len(queries), len(pictures)), dtype=np.float32)
    found: Array = queries @ pictures.T
    return found


def streams_of(
    by_text: npt.NDArray[np.floating], by_image: npt.NDArray[np.floating] | None, k: int
) -> Streams:
    """The streams of one query from its similarities to the whole gallery, each (N,)."""
    return Streams(
        _stream(by_text, k),
        None if by_image is None else _stream(by_image, k),
        float(by_text.mean(dtype=np.float64)),
        float(by_text.std(dtype=np.float64)),
    )


def _stream(scores: npt.NDArray[np.floating], k: int) -> Stream:
    best = top(scores, k)
    return Stream(best, scores[best])


def top(scores: npt.NDArray[np.floating], k: int) -> npt.NDArray[np.intp]:
    """The indices of the ``k`` largest of ``scores`` (N,), best first; ties keep their order.

    :func:`components.learning.metrics.average_precisions` measures the same order, also when a tie
    crosses rank k.
    """
    k = min(k, scores.size)
    if k < 1:
        return np.empty(0, dtype=np.intp)
    least = np.partition(scores, scores.size - k)[scores.size - k]
    better, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
    best = better[np.argsort(-scores[better], kind="stable")]
    return np.concatenate([best, equal[: k - best.size]])
