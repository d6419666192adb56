"""Texts outside the bank: "red star" is not the name of a category, and covers four.

People also type texts that are broader than a category. The right pictures for such a text follow
from the emblems' own attributes, so its figures need no labelling.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.datasets.emblems import COLOURS, SHAPES, Emblem
from components.features.features import Features
from components.vectors import Array

SPLIT = "covering"
TEXTS = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


def covers(features: Features) -> npt.NDArray[np.bool_]:
    """(T, C): the rows of ``features`` that each of its covering texts covers."""
    names = features.categories["category"]
    kinds = [
        f"{kind.colour} {kind.shape}"
        for kind in map(Emblem.parse, names[features.categories["split"] != SPLIT])
    ]
    texts = names.iloc[features.rows(SPLIT)].to_numpy()
    found = np.zeros((len(texts), len(names)), dtype=np.bool_)
    found[:, : len(kinds)] = texts[:, None] == np.array(kinds)[None, :]
    return found


def extended(features: Features, text: Array, imagined: Array) -> Features:
    """``features`` with :data:`TEXTS` as further rows after the categories, without gallery
    pictures.

    So a ranking of the categories ranks the texts too. ``text`` (T, d_clip) and ``imagined`` (T, K,
    d_vision) are the texts' own, unvalidated, as for a user's query.
    """
    rows = pd.DataFrame({"category": TEXTS, "split": SPLIT})
    many = features.imagined.shape[1]
    return replace(
        features,
        categories=pd.concat([features.categories, rows], ignore_index=True),
        text=np.concatenate([features.text, text]),
        imagined=np.concatenate([features.imagined, imagined[:, :many]]),
        accepted=np.concatenate([features.accepted, np.ones((len(rows), many), dtype=bool)]),
    )
