"""The query path: what is measured is what is served, since both score here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class Scores(NamedTuple):
    """Similarities of Q queries to N gallery pictures, each (Q, N)."""

    fused: Array
    text: Array
    image: Array


@dataclass(frozen=True)
class Gallery:
    """What is searched: ``clip`` (N, d_clip) and ``vision`` (N, d_vision), rows of length one."""

    clip: Array
    vision: Array

    def score(self, text: Array, image: Array, weight: float) -> Scores:
        """``(1-λ)·<text, CLIP(picture)> + λ·<aggregate, DINO(picture)>`` (paper, section 3).

        ``text`` (Q, d_clip), ``image`` (Q, d_vision). A query whose ``image`` row is zero, because
        none of its imagined pictures was fit to use, is scored by its text alone.
        """
        by_text, by_image = text @ self.clip.T, image @ self.vision.T
        lam = np.where(image.any(axis=1, keepdims=True), np.float32(weight), np.float32(0))
        return Scores((1 - lam) * by_text + lam * by_image, by_text, by_image)


def top(scores: Array, k: int) -> npt.NDArray[np.intp]:
    """Indices of the ``k`` largest of ``scores`` (N,), best first."""
    k = min(k, scores.size)
    candidates = np.sort(np.argpartition(-scores, k - 1)[:k])
    return candidates[np.argsort(-scores[candidates], kind="stable")]
