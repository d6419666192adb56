"""How good queries by name, by description and by both are, on the categories that have all three.

They rank the same gallery, corrected for hubness by the names: the names of the categories are
known, whatever is asked by.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from components import config
from components.features.features import Features
from components.index.gallery import Gallery
from components.kinds import BOTH, CLASS, DESCRIPTION
from components.learning.aggregator import Aggregator, aggregate
from components.learning.analysis import estimates, figures, gains, per_category


def by_kind(
    features: Features, gallery: Gallery, model: Aggregator, named: pd.DataFrame
) -> pd.DataFrame:
    """The rows of :func:`components.learning.analysis.per_category` for each kind of query, with
    the column ``kind``, of the categories that have a description; none without descriptions.
    ``named`` are those of the queries by name."""
    frames = [named.assign(kind=CLASS)]
    for kind in features.kinds:
        if kind != CLASS:
            found = features.of(kind)
            frame = per_category(found, gallery, aggregate(model, found), model.fusion_weight)
            frames.append(frame.assign(kind=kind))
    frame = pd.concat(frames, ignore_index=True)
    if features.described is None:
        return frame.head(0)
    described = features.categories["category"][features.described.exist]
    return frame[frame["category"].isin(described)].reset_index(drop=True)


def summarise_kinds(frame: pd.DataFrame, params: config.Evaluate) -> dict[str, Any]:
    """``{"kinds": {kind: {"map": …, "gain": …}}, "both": {kind: {group: figures}}}``, from the
    result of :func:`by_kind`; empty for an empty one.

    ``map`` and ``gain`` are those of :func:`components.learning.analysis.summarise`. The part
    ``both`` is the fused mAP by both, minus that by name alone and by description alone.
    """
    if frame.empty:
        return {}
    found = {str(kind): estimates(part, params) for kind, part in frame.groupby("kind")}
    fused = {kind: of["fused"] for kind, of in found.items()}
    both = {
        kind: figures({group: one - fused[kind][group] for group, one in fused[BOTH].items()})
        for kind in (CLASS, DESCRIPTION)
    }
    return {
        "kinds": {
            kind: {
                "map": {score: figures(groups) for score, groups in of.items()},
                "gain": figures(gains(of)),
            }
            for kind, of in found.items()
        },
        "both": both,
    }
