"""From which agreement the pictures imagined for a text are worth ranking by.

A generator that does not understand a text draws something else, and the fused ranking is then
worse than text alone. CLIP sees that the pictures do not show the text, though each by itself may
pass the limit of `validate`. So the stage `calibrate` chooses a limit on the mean agreement of a
text's pictures, on texts whose right pictures are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import config
from components.features.queries import Bools
from components.index.gallery import Gallery
from components.index.scoring import Way, scored
from components.learning.intervals import bootstrap
from components.learning.metrics import average_precisions
from components.vectors import Array

_DIGITS = 6
_FOLDS = 5
FEWEST = 10
"""Texts from which a limit can be chosen."""


def ranked(
    gallery: Gallery,
    labels: npt.NDArray[np.intp],
    shown: Bools,
    covers: Sequence[Sequence[int]],
    vectors: Array,
    aggregated: Array,
    agreements: Sequence[float],
    fusion_weight: float,
) -> pd.DataFrame:
    """The average precision of T texts by ``text`` alone and ``fused``, and their ``agreement``,
    among the pictures of ``gallery`` that are ``shown`` (N,).

    ``labels`` (N,) are the categories of the pictures, and ``covers`` (T,) those that are right for
    each text. ``vectors`` (T, d_clip) are the text embeddings, ``aggregated`` (T, d_vision) the
    aggregated ones, and ``agreements`` (T,) the mean agreements of the imagined pictures, NaN for a
    text without a fit picture. Such texts are left out, as are those without a right picture:
    nothing depends on the limit.
    """
    found = np.full((2, len(vectors)), np.nan)
    ways = [Way(gallery, aggregated, lam) for lam in (0.0, fusion_weight)]
    for way, rows, scores in scored(vectors, ways):
        right = np.stack([np.isin(labels, of_one) for of_one in covers[rows]])
        found[way, rows] = average_precisions(scores[:, shown], right[:, shown])
    text, fused = found.round(_DIGITS)
    frame = pd.DataFrame({"agreement": agreements, "text": text, "fused": fused}, dtype=np.float64)
    return frame.dropna().reset_index(drop=True)


def limit(texts: pd.DataFrame) -> float | None:
    """The limit on the agreement below which ranking by text is best for ``texts``, on average.

    ``texts`` is the result of :func:`ranked`. None for fewer than :data:`FEWEST` texts, and unless
    it gains more than its standard error over always fusing. That gain is cross-validated: each
    fold of the texts is ranked by the limit of the others, so that a limit is never praised by the
    texts that it was chosen on.
    """
    if len(texts) < FEWEST:
        return None
    fold, gain = np.arange(len(texts)) % _FOLDS, np.zeros(len(texts))
    for number in range(_FOLDS):
        out = fold == number
        part = texts[out]
        low = part["agreement"] < _best(texts[~out])
        gain[out] = np.where(low, part["text"] - part["fused"], 0.0)
    if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain)):
        return None
    return round(_best(texts), _DIGITS)


def _best(texts: pd.DataFrame) -> float:
    """The limit with the largest mean average precision of ``texts``, midway between the agreements
    of two neighbours; minus infinity if always fusing is best."""
    ordered = texts.sort_values("agreement", kind="stable")
    gain = (ordered["text"] - ordered["fused"]).to_numpy()
    below = int(np.argmax(np.append(0.0, gain.cumsum())))
    return float(ordered["agreement"].iloc[below - 1 : below + 1].mean()) if below else -np.inf


def summary(texts: pd.DataFrame, least: float | None, rules: config.Evaluate) -> dict[str, Any]:
    """What the limit ``least`` does to ``texts`` that it was not chosen on: their mean average
    precision by ``text`` alone, always ``fused``, and as ``chosen`` by the limit; the ``gain`` of
    chosen over fused, and ``over_text``, each with its 95 % bootstrap interval over texts."""
    found: dict[str, Any] = {"least": least, "texts": len(texts)}
    if texts.empty:
        return found
    low = (texts["agreement"] < (-np.inf if least is None else least)).to_numpy()
    chosen = np.where(low, texts["text"], texts["fused"])
    found["by_text"] = int(low.sum())
    for name, values in (("text", texts["text"]), ("fused", texts["fused"]), ("chosen", chosen)):
        found[name] = round(float(np.mean(values)), _DIGITS)
    for name, other in (("gain", "fused"), ("over_text", "text")):
        apart = chosen - texts[other].to_numpy()
        found[name] = bootstrap(
            apart, samples=rules.bootstrap, seed=[rules.seed], least=FEWEST
        ).figures()
    return found
