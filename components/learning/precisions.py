"""The average precision of categories in a gallery of any size, by several ways to rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.index.scoring import Way, scored
from components.learning.metrics import average_precisions
from components.vectors import Array

Rows = npt.NDArray[np.intp]


def precisions(
    labels: Rows, rows: Rows, text: Array, ways: Sequence[Way]
) -> npt.NDArray[np.float64]:
    """The average precision of R queries by each of W ``ways``: (W, R).

    Query i has the embedding ``text[i]``, of (R, d_clip), and asks for the category ``rows[i]``.
    ``labels`` (N,) are the categories of the pictures. NaN for a category without pictures. The
    scores are never all in memory: see :func:`components.index.scoring.scored`.
    """
    found = np.full((len(ways), len(rows)), np.nan)
    for way, some, scores in scored(text, ways):
        positive = labels[None, :] == rows[some][:, None]
        found[way, some] = average_precisions(scores, positive)
    return found
