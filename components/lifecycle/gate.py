"""The gate: may a challenger become the champion?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components import config


@dataclass(frozen=True)
class Verdict:
    """``reason`` says in a sentence why the challenger passed or not."""

    passed: bool
    reason: str


def compare(
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    params: config.Gate,
    min_categories: int,
) -> Verdict:
    """Judge by the metrics of two runs (``gain.unseen.low``, ``map.fused.unseen.mean``,
    ``categories.unseen``).

    A challenger must gain over text alone on unseen categories, by more than ``min_gain`` at the
    lower bound of the 95 % interval, and its fused mAP must not fall more than ``tolerance`` below
    the champion's. Without an interval, because the challenger has fewer than ``min_categories``
    unseen categories, nothing can be concluded, and it does not pass.
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
