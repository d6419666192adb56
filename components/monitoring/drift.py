"""How far queries are from the training texts, and today's gallery from the champion's.

A p-value alone would alarm on nothing once there are thousands of queries. So alarms ask how large
a difference is, and the interval only says whether that is certain.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components import names
from components.confidence.texts import descriptions
from components.monitoring.shares import Floats, Share, share
from components.vectors import Array, along, normalized

TAIL = 0.05
"""The share of the training texts themselves that counts as unlike the others."""

_FOLDS, _BLOCK = 5, 1000
_SAME = 0.9999  # the cosine of two vectors of one picture


@dataclass(frozen=True)
class Strangers:
    """Queries that are unlike every training text.

    ``share`` is that of all queries, with an interval over distinct texts. ``nearest`` (Q,) is the
    cosine of each distinct query to the most similar training text, and ``cut`` the value below
    which it is a stranger.
    """

    share: Share
    nearest: Floats
    cut: float


def training_texts(categories: Sequence[str], most: int, seed: int) -> list[str]:
    """What people may ask for what the gallery has: the names of the categories, and partial
    descriptions of them, such as "red star". ``most`` of each at most, at random."""
    rng = random.Random(seed)
    rows = sorted(rng.sample(range(len(categories)), min(most, len(categories))))
    named = [names.query_text(categories[row]) for row in rows]
    described = [text.words for text in descriptions(categories, rows)]
    return named + rng.sample(described, min(most, len(described)))


def strangers(queries: Array, counts: Floats, training: Array, seed: int) -> Strangers:
    """The share of the queries that are unlike every training text.

    ``queries`` (Q, d) are the embeddings of distinct queries, ``counts`` (Q,) how often each was
    asked, and ``training`` (R, d) the embeddings of :func:`training_texts`; Q is at least 1, R at
    least 2. A query is a stranger when its most similar training text is further away than for
    all but :data:`TAIL` of the training texts themselves. The interval is a bootstrap over the
    distinct queries, so one text that a program asks a thousand times makes it wide.
    """
    known, asked = normalized(training), normalized(queries)
    cut = float(np.quantile(_nearest(known, known, but_itself=True), TAIL))
    nearest = _nearest(asked, known)
    strange = nearest < cut
    return Strangers(share(counts * strange, counts, seed), nearest, cut)


def separation(
    one: Array,
    other: Array,
    seed: int,
    weights: Floats | None = None,
    groups: npt.NDArray[np.intp] | None = None,
) -> float | None:
    """How well a classifier tells ``one`` (N, d) from ``other`` (M, d): the AUC of a logistic
    regression, by cross-validation. 0.5 is chance, and 1 means that no two overlap.

    ``weights`` (M,) are those of the rows of ``other``. ``groups`` (N + M,) names rows that belong
    together and are never in different folds. ``None`` with fewer rows or groups than folds.
    """
    data = np.concatenate([one, other])
    label = np.repeat([0, 1], [len(one), len(other)])
    groups = np.arange(len(data)) if groups is None else groups
    each = [np.unique(groups[label == side]).size for side in (0, 1)]
    if min(each) < _FOLDS:
        return None
    weight = np.concatenate(
        [np.ones(len(one)), np.ones(len(other)) if weights is None else weights]
    )
    for side in (0, 1):
        weight[label == side] *= len(data) / 2 / weight[label == side].sum()
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    scores = np.zeros(len(data))
    for train, test in folds.split(data, label, groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        model.fit(data[train], label[train], logisticregression__sample_weight=weight[train])
        scores[test] = model.decision_function(data[test])
    return float(roc_auc_score(label, scores.round(9), sample_weight=weight))


@dataclass(frozen=True)
class Moved:
    """How far pictures have moved in one space. ``auc`` is their :func:`separation` from the
    earlier ones. ``distance`` is the distance of the means, in standard deviations of the
    projection on the line between them."""

    auc: float | None
    distance: float


def moved(before: Array, after: Array, most: int, seed: int) -> Moved:
    """Compare pictures ``before`` (N, d) with those ``after`` (M, d), by ``most`` of each.

    A picture that is in both must not count as a difference, nor be known to the classifier from
    training. So its two vectors belong together, and end in the same fold. The samples are of
    the same rows where the two have the same order.
    """
    order = np.random.default_rng(seed).permutation(max(len(before), len(after)))
    one, other = (side[order[order < len(side)][:most]] for side in (before, after))
    groups = np.arange(len(one) + len(other))
    unit = normalized(one)
    for start in range(0, len(other), _BLOCK):
        similar = normalized(other[start : start + _BLOCK]) @ unit.T
        same = np.flatnonzero(similar.max(axis=1) > _SAME)
        groups[len(one) + start + same] = similar[same].argmax(axis=1)
    return Moved(separation(one, other, seed, groups=groups), _distance(before, after))


def _distance(before: Array, after: Array) -> float:
    line = after.mean(axis=0, dtype=np.float64) - before.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(line))
    if length < 1e-9:
        return 0.0
    spread = float(np.sqrt(np.mean([along(side, line / length).var() for side in (before, after)])))
    return length / max(spread, 1e-9)


def _nearest(asked: Array, known: Array, *, but_itself: bool = False) -> Floats:
    """The cosine of each of ``asked`` to the most similar of ``known``, in blocks."""
    found = []
    for start in range(0, len(asked), _BLOCK):
        similar = asked[start : start + _BLOCK] @ known.T
        if but_itself:
            rows = np.arange(len(similar))
            similar[rows, start + rows] = -np.inf
        found.append(similar.max(axis=1))
    return np.concatenate(found).astype(np.float64)
