"""A method of the study: fitted in a world, it ranks any pictures for every category.

It is fitted on the training categories of a world, and makes its choices (λ, strengths) on the
validation categories over the training pictures. Then it ranks the gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from components.features.features import Features
from components.index.gallery import Gallery
from components.learning.metrics import average_precisions
from components.vectors import Array, normalized
from study.world import World

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Pictures:
    """The pictures to rank, through both encoders: ``clip`` (N, d_clip), ``vision`` (N, d_vision).

    ``labels`` (N,) are the rows of their categories. A method may know which categories there are
    (``known``), but not which picture is of which category.
    """

    clip: Array
    vision: Array
    labels: Rows

    @property
    def known(self) -> Rows:
        """The rows of the categories that have pictures here."""
        return np.unique(self.labels)


def training_pictures(features: Features) -> Pictures:
    """The pictures for choices: those of training and validation categories."""
    labels = features.labels(features.training)
    return Pictures(features.training_clip, features.training_vision, labels)


def gallery_pictures(features: Features) -> Pictures:
    """The pictures for the reported figures."""
    return Pictures(
        features.gallery_clip, features.gallery_vision, features.labels(features.gallery)
    )


Ranking = Callable[[Pictures], Array]
"""A function from pictures to the scores (C, N) of every category."""

Method = Callable[[World], Ranking]


def linear(text: Array, image: Array, fusion_weight: float | Array) -> Ranking:
    """``(1-λ)·<text, CLIP> + λ·<image, DINO>``; ``fusion_weight`` is λ, a number or a
    column (C, 1)."""
    return lambda on: Gallery(on.clip, on.vision).score(text, image, fusion_weight).fused


def fused(text: Array, image: Array, fusion_weight: float | Array, temperature: float) -> Ranking:
    """The served score: known categories are corrected for hubness, other texts are ranked by
    :func:`linear`. ``fusion_weight`` is λ, a number or a column (C, 1)."""
    return fusing(text, image, temperature)(fusion_weight)


def fusing(text: Array, image: Array, temperature: float) -> Callable[[float | Array], Ranking]:
    """:func:`fused` as a function of λ. The hubness of the same pictures is measured once."""

    @remembered
    def corrected(on: Pictures) -> Gallery:
        known = on.known
        return Gallery.with_query_bank(on.clip, on.vision, text[known], image[known], temperature)

    def at(fusion_weight: float | Array) -> Ranking:
        def rank(on: Pictures) -> Array:
            known, gallery = on.known, corrected(on)
            scores = gallery.uncorrected.score(text, image, fusion_weight).fused
            lam = fusion_weight[known] if isinstance(fusion_weight, np.ndarray) else fusion_weight
            scores[known] = gallery.score(text[known], image[known], lam).fused
            return scores

        return rank

    return at


Value = TypeVar("Value")


def remembered(function: Callable[[Pictures], Value]) -> Callable[[Pictures], Value]:
    """``function``, which remembers its last result, for pictures with the very same arrays."""
    last: list[tuple[Pictures, Value]] = []

    def found(on: Pictures) -> Value:
        if not last or last[0][0].clip is not on.clip or last[0][0].vision is not on.vision:
            last[:] = [(on, function(on))]
        return last[0][1]

    return found


def weighted_mean(world: World, weights: np.ndarray | None = None) -> Array:
    """(C, d): the mean of a category's accepted pictures, of length one."""
    return mean_of(world.features, weights)


def mean_of(features: Features, weights: np.ndarray | None = None) -> Array:
    """(C, d): the mean of each category's accepted pictures in ``features``, of length one."""
    kept = np.asarray(features.accepted if weights is None else weights, dtype=np.float32)
    return normalized((features.imagined * kept[..., None]).sum(axis=1))


def validation_map(world: World, ranking: Ranking) -> float:
    """mAP of the validation categories over the training pictures: every choice is made by it."""
    on, rows = training_pictures(world.features), world.features.rows("validation")
    return float(np.nanmean(average_precisions(ranking(on)[rows], on.labels == rows[:, None])))


def validation_alone(world: World, ranking: Ranking) -> float:
    """mAP of the validation categories over *their* training pictures alone.

    No model was trained on any of these pictures, so nothing can be gained here by lowering the
    scores of pictures seen in training.
    """
    on, rows = training_pictures(world.features), world.features.rows("validation")
    only = np.isin(on.labels, rows)
    scores = ranking(on)[rows][:, only]
    return float(np.nanmean(average_precisions(scores, on.labels[only] == rows[:, None])))


def best(world: World, candidates: Iterable[Ranking]) -> Ranking:
    """The candidate with the best :func:`validation_map`, and the first one of equals."""
    return max(candidates, key=lambda ranking: validation_map(world, ranking))


def best_weight(world: World, text: Array, image: Array) -> Ranking:
    """Both scores fused with the best fixed λ."""
    return best(world, (linear(text, image, lam) for lam in world.weights))
