"""The gate: decides whether a challenger may become the champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components import config


@dataclass(frozen=True)
class Verdict:
    """The decision. ``reason`` is a sentence that says why the challenger passed or not."""

    passed: bool
    reason: str


def compare(
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    params: config.Gate,
    min_categories: int,
) -> Verdict:
    """Judge a challenger by the metrics of its run and of the champion's, if there is one.

    The metrics are ``gain.unseen.low``, ``map.fused.unseen.mean`` and ``categories.unseen``. On
    unseen categories the challenger must gain over text alone: the lower bound of the 95 % interval
    must be above ``min_gain``. Its fused mAP must be at most ``tolerance`` below the champion's.
    With fewer than ``min_categories`` unseen categories there is no interval. Then nothing can be
    concluded, and the challenger does not pass.
    """
    low = challenger.get("gain.unseen.low")
    if low is None:
        found = int(challenger.get("categories.unseen", 0))
        return Verdict(
            False,
            f"no conclusion from so few unseen categories: {found}, and an interval needs"
            f" {min_categories} (evaluate.min_categories); add categories to the dataset",
        )
    fused = challenger["map.fused.unseen.mean"]
    if not low > params.min_gain:
        return Verdict(False, f"gain over text is at least {low:+.4f}, not above {params.min_gain}")
    if champion is None:
        return Verdict(True, f"first champion: fused mAP {fused:.4f}, gain at least {low:+.4f}")
    before = champion["map.fused.unseen.mean"]
    change = f"fused mAP {fused:.4f} against the champion's {before:.4f}"
    if fused < before - params.tolerance:
        return Verdict(False, f"{change}: worse by more than {params.tolerance}")
    return Verdict(True, change)
