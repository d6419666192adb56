"""The query path: what is measured is what is served, since both score here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.retrieval.metrics import blocks

Array = npt.NDArray[np.float32]


class Scores(NamedTuple):
    """Of Q queries and N gallery pictures, each (Q, N): ``fused``, by which is ranked, the
    similarities ``text`` and ``image`` of the two paths, and the ``hubness`` taken off."""

    fused: Array
    text: Array
    image: Array
    hubness: Array


def hubness(queries: Array, pictures: Array, temperature: float) -> Array:
    """(N,): how much each of ``pictures`` (N, d) is like every one of ``queries`` (B, d).

    The soft maximum ``τ·log(mean over queries of exp(<q, x>/τ))``, τ being ``temperature`` standard
    deviations of these similarities. To subtract it from a picture's scores is to rank by the
    inverted softmax (Smith et al., ICLR 2017; for retrieval Bogolin et al., "Cross Modal Retrieval
    with Querybank Normalisation", CVPR 2022). It asks which of all queries fits a picture best, so
    pictures that are near to everything no longer come first. Rows of ``queries`` that are zero do
    not count. The result is zero where no query is left, or τ is 0.
    """
    queries = queries[queries.any(axis=1)]
    spread = _spread(queries, pictures) if queries.size and pictures.size else 0.0
    tau = np.float32(temperature * spread)
    found = np.zeros(len(pictures), dtype=np.float32)
    if tau > 0:
        for rows in blocks(len(pictures), len(queries)):
            logits = pictures[rows] @ queries.T / tau
            highest = logits.max(axis=1)
            logits -= highest[:, None]
            found[rows] = tau * (highest + np.log(np.exp(logits).mean(axis=1)))
    return found


def _spread(queries: Array, pictures: Array) -> float:
    """The standard deviation of all similarities of ``queries`` (B, d) to ``pictures`` (N, d), by
    their second moments: ``E<q, x>² = <E qqᵀ, E xxᵀ>``."""
    moments = [rows.astype(np.float64) for rows in (queries, pictures)]
    second = np.prod([rows.T @ rows / len(rows) for rows in moments], axis=0).sum()
    first = np.prod([rows.mean(axis=0) for rows in moments], axis=0).sum()
    return float(np.sqrt(max(second - first**2, 0.0)))


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
    def among(
        cls, clip: Array, vision: Array, text: Array, image: Array, temperature: float
    ) -> Gallery:
        """The gallery of these pictures, their hubness measured by known queries: ``text``
        (B, d_clip) and ``image`` (B, d_vision).

        The categories of *all* these pictures must be among the queries. A picture whose category
        is missing has no query near to it, so it is corrected less and comes too early for every
        other query.
        """
        return cls(
            clip, vision, hubness(text, clip, temperature), hubness(image, vision, temperature)
        )

    @property
    def uncorrected(self) -> Gallery:
        """The same pictures without correction, for a text that is not among the known queries.

        "red star" covers several known categories. The correction would push down exactly the
        pictures that fit one of them best (docs/results.md has the figures).
        """
        return Gallery(self.clip, self.vision)

    def score(self, text: Array, image: Array, weight: float | Array) -> Scores:
        """``(1-λ)·<text, CLIP(x)> + λ·<aggregate, DINO(x)>`` (paper, section 3), less the hubness
        of the picture x, ``(1-λ)·h(x) + λ·h'(x)``.

        It is one dot product, of ``[(1-λ)·(text, 1) ; λ·(aggregate, 1)]`` with the picture's row
        ``[CLIP(x), -h(x) ; DINO(x), -h'(x)]``. ``text`` (Q, d_clip), ``image`` (Q, d_vision), λ
        is ``weight``, one or a column (Q, 1). A
        query whose ``image`` row is zero, because none of its imagined pictures was fit to use, is
        scored by its text alone.
        """
        by_text, by_image = text @ self.clip.T, image @ self.vision.T
        lam: Array = np.where(image.any(axis=1, keepdims=True), weight, 0).astype(np.float32)
        each = (1 - lam) * self.clip_hubness + lam * self.vision_hubness
        taken_off = np.broadcast_to(each, by_text.shape)
        return Scores(
            (1 - lam) * by_text + lam * by_image - taken_off, by_text, by_image, taken_off
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
