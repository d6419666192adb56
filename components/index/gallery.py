"""The query path: what is measured is what is served, since both score here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.index.hubness import hubness
from components.vectors import Array


class Scores(NamedTuple):
    """Of Q queries and N gallery pictures, each (Q, N): ``fused``, by which is ranked, the
    similarities ``text`` and ``image`` of the two paths, and the ``hubness`` that is subtracted."""

    fused: Array
    text: Array
    image: Array
    hubness: Array


@dataclass(frozen=True)
class Gallery:
    """What is searched: ``clip`` (N, d_clip) and ``vision`` (N, d_vision), rows of length one, and
    each picture's :func:`hubness` in both spaces, (N,), or 0 for no correction.
    """

    clip: Array
    vision: Array
    clip_hubness: Array | float = 0.0
    vision_hubness: Array | float = 0.0

    @classmethod
    def with_query_bank(
        cls, clip: Array, vision: Array, text: Array, aggregated: Array, temperature: float
    ) -> Gallery:
        """The gallery of these pictures, their hubness measured by known queries: ``text``
        (B, d_clip) and ``aggregated`` (B, d_vision).

        The categories of *all* these pictures must be among the queries. A picture whose category
        is missing has no query near to it, so it is corrected less and comes too early for every
        other query.
        """
        return cls(
            clip, vision, hubness(text, clip, temperature), hubness(aggregated, vision, temperature)
        )

    @property
    def uncorrected(self) -> Gallery:
        """The same pictures without correction, for a text that is not among the known queries.

        "red star" covers several known categories. The correction would push down exactly the
        pictures that fit one of them best (docs/results.md has the figures).
        """
        return Gallery(self.clip, self.vision)

    def score(self, text: Array, aggregated: Array, fusion_weight: float | Array) -> Scores:
        """``(1-λ)·<text, CLIP(x)> + λ·<aggregate, DINO(x)>`` (paper, section 3), less the hubness
        of the picture x, ``(1-λ)·h(x) + λ·h'(x)``.

        This is one dot product: of ``[(1-λ)·(text, 1) ; λ·(aggregate, 1)]`` with the picture's row
        ``[CLIP(x), -h(x) ; DINO(x), -h'(x)]``. ``text`` is (Q, d_clip) and ``aggregated`` is
        (Q, d_vision). ``fusion_weight`` is λ: a number, or a column (Q, 1). A query whose
        ``aggregated`` row is zero has no imagined picture that was accepted. Its text alone scores.
        """
        by_text, by_image = text @ self.clip.T, aggregated @ self.vision.T
        lam: Array = np.where(aggregated.any(axis=1, keepdims=True), fusion_weight, 0).astype(
            np.float32
        )
        each = (1 - lam) * self.clip_hubness + lam * self.vision_hubness
        subtracted = np.broadcast_to(each, by_text.shape)
        return Scores(
            (1 - lam) * by_text + lam * by_image - subtracted, by_text, by_image, subtracted
        )


def top(scores: Array, k: int) -> npt.NDArray[np.intp]:
    """Indices of the ``k`` largest of ``scores`` (N,), best first; equal scores keep their order.

    This is the order that :func:`metrics.average_precisions` measures, also where a tie crosses
    rank k.
    """
    k = min(k, scores.size)
    if k < 1:
        return np.empty(0, dtype=np.intp)
    least = np.partition(scores, scores.size - k)[scores.size - k]
    better, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
    best = better[np.argsort(-scores[better], kind="stable")]
    return np.concatenate([best, equal[: k - best.size]])
