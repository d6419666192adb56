"""Fits the logistic regression of the confidence, and chooses its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.confidence.confidence import Floats, Logistic, terms

_FOLDS = 5
_STEPS = 100
_DIGITS = 6  # of a weight: equal on every processor


def fitted(texts: pd.DataFrame, columns: Sequence[str], recall: float) -> Logistic:
    """The regression of ``relevant`` on ``columns``, with the threshold that keeps ``recall``.

    ``texts`` has a row per text with its kind, relevant, and the columns. Texts with pictures count
    as much as texts without (:func:`weights`), so 0.5 means that both are equally likely. The
    threshold is the largest that calls the share ``recall`` of the texts with pictures relevant,
    when each text is judged by a regression that was fitted without it.
    """
    texts = texts[texts[list(columns)].notna().any(axis=1)].reset_index(drop=True)
    found, relevant = texts[list(columns)].to_numpy(np.float64), texts["relevant"].to_numpy()
    weight = weights(texts)
    fold = texts.groupby("kind").cumcount().to_numpy() % _FOLDS
    values = np.empty(len(texts))
    for number in range(_FOLDS):
        out = fold == number
        values[out] = regression(found[~out], relevant[~out], weight[~out])(found[out])
    return regression(
        found, relevant, weight, threshold(values[relevant == 1], weight[relevant == 1], recall)
    )


def flat(texts: pd.DataFrame, column: str, recall: float) -> float:
    """The threshold on ``column`` alone that keeps ``recall``, for comparison."""
    shown = texts["relevant"].to_numpy() == 1
    return threshold(texts[column].to_numpy()[shown], weights(texts)[shown], recall)


def threshold(values: Floats, weight: Floats, recall: float) -> float:
    """The largest threshold that at least the share ``recall`` of ``values`` reaches."""
    order = np.argsort(values)
    below = weight[order].cumsum() / weight.sum()
    least = values[order][np.searchsorted(below, 1 - recall, side="right").clip(max=len(order) - 1)]
    return float(np.floor(least * 1e4) / 1e4)


def weights(texts: pd.DataFrame) -> Floats:
    """How much each text counts: both values of ``relevant`` the same in total, and each kind of
    one value by the square root of its number of texts. The weights sum to the number of texts."""
    in_kind = texts.groupby("kind")["kind"].transform("size").to_numpy(np.float64)
    each = pd.Series(1 / np.sqrt(in_kind), texts.index)
    share = each / each.groupby(texts["relevant"]).transform("sum")
    return (share * len(texts) / share.sum()).to_numpy(np.float64)


def regression(
    found: Floats, relevant: npt.NDArray[np.integer], weight: Floats, least: float = 0.5
) -> Logistic:
    """The most likely logistic regression of ``relevant`` (T,) on the features ``found`` (T, F).

    Each weight has a normal prior with standard deviation 1 (ridge regression). So the weights stay
    finite where a feature alone tells the texts apart, and rounding hardly matters. The optimum is
    the only one, and Newton's method finds it.
    """
    known = np.isfinite(found)
    share = known * weight[:, None]
    total = np.maximum(share.sum(axis=0), 1e-12)
    mean = (share * np.where(known, found, 0.0)).sum(axis=0) / total
    away = np.where(known, found - mean, 0.0)
    scale = np.sqrt((share * away**2).sum(axis=0) / total)
    scale[scale < 1e-6] = 1.0  # a feature that is the same for all texts
    mean, scale = mean.round(_DIGITS), scale.round(_DIGITS)
    empty = Logistic(tuple(mean.tolist()), tuple(scale.tolist()), (), 0.0, least)
    columns = np.column_stack([terms(empty.standard(found)), np.ones(len(found))])
    prior = np.append(np.ones(columns.shape[1] - 1), 1e-9)
    fit = np.zeros(len(prior))
    for _ in range(_STEPS):
        value = 1 / (1 + np.exp(-(columns @ fit)))
        slope = columns.T @ (weight * (value - relevant)) + prior * fit
        curve = (columns * (weight * value * (1 - value))[:, None]).T @ columns
        step = np.linalg.solve(curve + np.diag(prior), slope)
        fit -= step
        if np.abs(step).max() < 1e-10:
            break
    *found_weights, bias = fit.round(_DIGITS).tolist()
    return replace(empty, weights=tuple(found_weights), bias=bias)
