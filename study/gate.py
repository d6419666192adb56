"""λ per query: a small gate that sees how far the streams of a query agree, and how sharp they are.

After ADaFuSE (arXiv 2603.21886), where a gate for each query wins over one weight for all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import expit, logit

from components.learning.loss import ranking_loss
from components.learning.metrics import average_precisions
from components.vectors import Array
from study.bases import Base
from study.ideas import agreement, resemblance
from study.ranking import Pictures, Ranking, best, fusing, remembered, training_pictures
from study.world import World

STRENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0)
FIRST = 8  # results by which a stream's sharpness is measured
_STEPS, _RATE = 150, 0.05


def per_query(world: World, base: Base) -> Ranking:
    """``λ(q) = sigmoid(logit λ + strength · <w, signals(q)>)``.

    The gate's weights w are learned on training categories, λ and the strength are chosen on
    validation categories. Strength 0 is one λ for all.
    """
    text, image = world.features.text, base.join(world.features)
    signals = signals_of(world, text, image)
    weights, at = fitted(world, text, image, signals), fusing(text, image, base.temperature)

    def gated(lam: float, strength: float) -> Ranking:
        def rank(on: Pictures) -> Array:
            opened = logit(np.clip(lam, 1e-6, 1 - 1e-6)) + strength * signals(on) @ weights
            return at(expit(opened)[:, None].astype(np.float32))(on)

        return rank

    return best(world, (gated(lam, strength) for strength in STRENGTHS for lam in world.weights))


def by_labels(world: World, base: Base) -> Ranking:
    """The λ that is best for each query, by the labels of the pictures that are ranked.

    This is a control: no gate can do better with these streams, whatever it sees.
    """
    at = fusing(world.features.text, base.join(world.features), base.temperature)

    def rank(on: Pictures) -> Array:
        rows = np.arange(len(world.features.text))
        right, found = on.labels == rows[:, None], np.full(len(rows), -np.inf)
        best_of: Array = np.zeros(right.shape, dtype=np.float32)
        for lam in world.weights:
            scores = at(lam)(on)
            precision = np.nan_to_num(average_precisions(scores, right))
            better = precision > found
            best_of[better], found[better] = scores[better], precision[better]
        return best_of

    return rank


def signals_of(world: World, text: Array, image: Array) -> Callable[[Pictures], Array]:
    """The signals (C, 5) of each query on the pictures that are ranked.

    They are: the agreement of its imagined pictures with each other, and with its text through
    CLIP; the sharpness of the text scores and of the image scores; and the correlation of both
    scores over the pictures. Sharpness is the mean of the first results, in standard deviations
    above the mean of all. Each signal has mean 0 and spread 1 over the training categories.
    """
    features = world.features
    count = np.maximum(features.accepted.sum(axis=1), 1)
    alone = [
        (trust * features.accepted).sum(axis=1) / count
        for trust in (agreement(world), resemblance(world))
    ]

    @remembered
    def signals(on: Pictures) -> Array:
        by_text, by_image = _standard(text @ on.clip.T), _standard(image @ on.vision.T)
        sharp = [np.sort(by, axis=1)[:, -FIRST:].mean(axis=1) for by in (by_text, by_image)]
        found = np.stack([*alone, *sharp, (by_text * by_image).mean(axis=1)], axis=1)
        usual = found[features.rows("train")]
        scaled: Array = ((found - usual.mean(axis=0)) / (usual.std(axis=0) + 1e-6)).astype(
            np.float32
        )
        return scaled

    return signals


def fitted(world: World, text: Array, image: Array, signals: Callable[[Pictures], Array]) -> Array:
    """The gate's weights (5,), by the ranking loss of training categories over their pictures."""
    features, on = world.features, training_pictures(world.features)
    rows = features.rows("train")
    shown = np.isin(on.labels, rows)
    by_text = torch.from_numpy(text[rows] @ on.clip[shown].T)
    by_image = torch.from_numpy(image[rows] @ on.vision[shown].T)
    positive = torch.from_numpy(on.labels[shown] == rows[:, None])
    given = torch.from_numpy(signals(on)[rows])
    weights, bias = torch.zeros(given.shape[1], requires_grad=True), torch.zeros(1)
    bias.requires_grad_()
    optimiser = torch.optim.Adam([weights, bias], lr=_RATE)
    unused = np.random.default_rng(world.seed)
    for _ in range(_STEPS):
        lam = torch.sigmoid(given @ weights + bias)[:, None]
        scores = (1 - lam) * by_text + lam * by_image
        value = ranking_loss(scores, positive, world.train.temperature, unused)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    return weights.detach().numpy()


def _standard(scores: Array) -> Array:
    """``scores`` (C, N) with mean 0 and spread 1 in each row; a row without spread is zero."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    found: Array = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-6)
    return found
