"""How good a fitted confidence is: its precision and recall by kind of text, and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.confidence.confidence import DIGITS, Floats, Logistic
from components.confidence.fit import weights

_BINS = 10
_RIGHT, _WRONG = "#2c6e8f", "#d95f02"
Bools = npt.NDArray[np.bool_]


def judged(
    texts: pd.DataFrame, models: Mapping[str, Logistic], columns: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """``texts`` with a further column for each of ``models``: its value, from its ``columns``."""
    values = {
        name: np.round(model(texts[list(columns[name])].to_numpy(np.float64)), DIGITS)
        for name, model in models.items()
    }
    return texts.assign(**values)


def summary(texts: pd.DataFrame, model: str, threshold: float) -> dict[str, Any]:
    """The figures of one model: ``{"threshold", "precision", "recall", "auc", "calibration_error",
    "kinds": {kind: {"texts", "right", "auc", "precision"}}}``.

    ``texts`` is what :func:`judged` gives, and ``model`` the column that is measured. Each text
    counts as :func:`components.confidence.fit.weights` says. ``right`` is the
    share that is called relevant of a kind with pictures, and not relevant of another. ``auc`` is
    how often a text with pictures has a larger value than one without. That of a kind is against
    all texts of the other side. ``precision`` of a kind without pictures is that of an equal mix of
    it and texts with pictures. What cannot be measured is left out, as is the calibration error of
    values that are no probabilities.
    """
    value, relevant = texts[model].to_numpy(np.float64), texts["relevant"].to_numpy() == 1
    weight, called = weights(texts), value >= threshold
    recall = _mean(called[relevant], weight[relevant])
    kinds = {}
    for kind in texts["kind"].unique():
        own = (texts["kind"] == kind).to_numpy()
        shown = bool(relevant[own][0])
        right = float((called[own] == shown).mean())
        mixed = recall / (recall + 1 - right) if recall > 0 and not shown else float("nan")
        compared = own | (relevant != shown)
        figures = {"right": right, "auc": auc(value, relevant, weight * compared)}
        kinds[str(kind)] = {"texts": int(own.sum()), **_rounded(figures | {"precision": mixed})}
    overall = {
        "threshold": threshold,
        "precision": _mean(relevant[called], weight[called]),
        "recall": recall,
        "auc": auc(value, relevant, weight),
        "calibration_error": calibration_error(value, relevant, weight),
    }
    return {**_rounded(overall), "kinds": kinds}


def auc(value: Floats, relevant: Bools, weight: Floats) -> float:
    """How often a relevant text has a larger value than another one, where equal values count half.

    All are (T,). NaN unless there are texts of both sorts.
    """
    yes, no = value[relevant], value[~relevant]
    above = (yes[:, None] > no).astype(np.float64) + 0.5 * (yes[:, None] == no)
    by_no = above @ weight[~relevant]
    total = weight[relevant].sum() * weight[~relevant].sum()
    return float(weight[relevant] @ by_no / total) if total > 0 else float("nan")


def calibration_error(value: Floats, relevant: Bools, weight: Floats) -> float:
    """The mean distance between the value and the share of relevant texts, over ten bins of the
    value (Naeini et al., AAAI 2015). All are (T,). NaN unless all values are from 0 to 1."""
    if not len(value) or value.min() < 0 or value.max() > 1:
        return float("nan")
    place = np.minimum((value * _BINS).astype(np.intp), _BINS - 1)
    away = np.bincount(place, weight * (relevant - value), minlength=_BINS)
    return float(np.abs(away).sum() / weight.sum())


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """``metrics.json`` of the stage `calibrate` as lines to print."""
    found = []
    for name, figures in metrics.items():
        found += _of_agreement(figures) if name == "agreement" else _of_model(name, figures)
    return found


def _of_model(name: str, figures: Mapping[str, Any]) -> list[str]:
    """The figures of one :func:`summary`, as lines to print."""
    shown = "  ".join(f"{key} {figures[key]:.3f}" for key in _PRINTED if key in figures)
    found = [f"{name}: {shown}"]
    for kind, each in figures["kinds"].items():
        parts = "  ".join(f"{key} {each[key]:.3f}" for key in _OF_KIND if key in each)
        found.append(f"  {kind:<18} {each['texts']:>4} texts  {parts}")
    return found


def _of_agreement(figures: Mapping[str, Any]) -> list[str]:
    """What :func:`components.confidence.agreeing.summary` found, as lines to print."""
    if figures["least"] is None:
        return ["agreement: imagined pictures are always ranked by"]
    first = (
        f"agreement: pictures of a text are ranked by from {figures['least']:.2f} on:"
        f" {figures.get('by_text', 0)} of {figures['texts']} texts are ranked by text alone"
    )
    parts = "  ".join(f"{name} {figures[name]:.3f}" for name in _RANKED if name in figures)
    return [first, f"  mAP  {parts}"]


_RANKED = ("text", "fused", "chosen")
_PRINTED = ("threshold", "precision", "recall", "auc", "calibration_error")
_OF_KIND = ("right", "precision", "auc")


def plot(texts: pd.DataFrame, threshold: float, path: Path) -> None:
    """The values of the full model by kind, and the share of relevant texts by value."""
    figure = Figure((9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    _by_kind(left, texts, threshold)
    value, weight = texts["full"].to_numpy(np.float64), weights(texts)
    place = np.minimum((value * _BINS).astype(np.intp), _BINS - 1)
    total = np.bincount(place, weight, minlength=_BINS)
    share = np.bincount(place, weight * texts["relevant"].to_numpy(), minlength=_BINS)
    mean = np.bincount(place, weight * value, minlength=_BINS)
    some = total > 0
    right.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
    right.scatter(
        mean[some] / total[some],
        share[some] / total[some],
        s=15 + 300 * total[some] / total.sum(),
        color=_RIGHT,
        linewidths=0,
    )
    right.set(
        xlabel="confidence", ylabel="share of texts with pictures", title="Larger: more texts"
    )
    figure.suptitle("Confidence on texts that it was not fitted to", fontsize=11)
    figure.savefig(path, dpi=130, metadata={"Software": None})  # no date: equal every time


def _by_kind(axes: Axes, texts: pd.DataFrame, threshold: float) -> None:
    kinds = list(texts["kind"].unique())
    for row, kind in enumerate(kinds):
        part = texts[texts["kind"] == kind]
        colour = _RIGHT if part["relevant"].any() else _WRONG
        spread = row + np.linspace(-0.3, 0.3, len(part))
        axes.scatter(part["full"], spread, s=6, alpha=0.6, linewidths=0, color=colour)
    axes.axvline(threshold, color="black", linestyle=":", label=f"threshold {threshold:.2f}")
    axes.set(xlabel="confidence", xlim=(-0.02, 1.02), title="blue: the gallery has pictures")
    axes.set_yticks(range(len(kinds)), [kind.replace("_", ", ") for kind in kinds])
    axes.invert_yaxis()


def _mean(flags: Bools, weight: Floats) -> float:
    """The weighted share of true ``flags``; NaN if there are none."""
    return float(weight @ flags / weight.sum()) if len(flags) else float("nan")


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures that are numbers, rounded."""
    return {key: round(number, DIGITS) for key, number in figures.items() if np.isfinite(number)}
