"""The authors' columns by their definition: plain numpy in float64, one query at a time.

It shares no code with components/, so that a mistake there shows as a difference. The definitions
are in docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Stored = npt.NDArray[np.float32]

_TOGETHER = 64  # queries whose scores are in memory at once
_ROWS = 2**12  # gallery rows that are read at once


def average_precision(scores: Numbers, positive: npt.NDArray[np.bool_]) -> float:
    """Trapezoidal average precision of the ranking by ``scores`` (N,); ``positive`` is (N,).

    The j-th positive, at rank r, both from zero, adds the mean of the precision just before it,
    j / r (1 at rank 0), and just after it, (j + 1) / (r + 1), divided by the number of positives
    (Radenović et al., CVPR 2018). A positive's rank is the number of scores above its own. NaN
    without positives. Scores must all differ.
    """
    found = scores[positive]
    if not found.size:
        return float("nan")
    ascending = np.sort(scores)
    rank = np.sort(len(scores) - np.searchsorted(ascending, found, side="right"))
    j = np.arange(found.size)
    before = np.where(rank == 0, 1.0, j / np.maximum(rank, 1))
    after = (j + 1) / (rank + 1)
    return float(((before + after) / 2).sum() / found.size)


def aggregated(pictures: Numbers, weights: Mapping[str, Numbers]) -> Numbers:
    """The aggregated embedding (d,) of ``pictures`` (K, d): two layers of attention with one head.

    Only the CLS row asks, and it starts as the mean. Each layer's output replaces it.
    """
    cls = pictures.mean(axis=0)
    for layer in (0, 1):
        prefix = f"self_attn.layers.{layer}."
        for_query, for_key, for_value = np.split(weights[prefix + "in_proj_weight"], 3)
        query_bias, key_bias, value_bias = np.split(weights[prefix + "in_proj_bias"], 3)
        tokens = np.vstack([cls, pictures])
        query = for_query @ cls + query_bias
        keys = tokens @ for_key.T + key_bias
        values = tokens @ for_value.T + value_bias
        logits = keys @ query / np.sqrt(len(cls))
        attention = np.exp(logits - logits.max())
        attention /= attention.sum()
        output = weights[prefix + "out_proj.weight"], weights[prefix + "out_proj.bias"]
        cls = output[0] @ (attention @ values) + output[1]
    return cls / np.linalg.norm(cls)


def columns(
    texts: Sequence[Stored],
    images: Sequence[Stored],
    gallery_text: Path,
    gallery_vision: Path,
    labels: npt.NDArray[np.int64],
    weights: Mapping[str, Stored],
) -> dict[str, float]:
    """The mAP of each published column over the queries with positives.

    A query has ``texts`` (d_text,) or (prompts, d_text), and ``images`` (K, d_vision). Picture i of
    the galleries, two `.npy` with N rows, answers the query ``labels[i]``.
    """
    by_clip, by_vision = (np.load(path, mmap_mode="r") for path in (gallery_text, gallery_vision))
    network = {name: value.astype(np.float64) for name, value in weights.items()}
    fusion_weight = 1 / (1 + np.exp(-network["lamda"][0]))
    found: dict[str, list[float]] = {}
    for first in range(0, len(texts), _TOGETHER):
        some = range(first, min(first + _TOGETHER, len(texts)))
        vectors = [_vectors(texts[query], images[query], network) for query in some]
        by_text, by_mean, by_learned = (
            _products(np.stack(each), gallery)
            for each, gallery in zip(
                zip(*vectors, strict=True), (by_clip, by_vision, by_vision), strict=True
            )
        )
        for query, t, m, a in zip(some, by_text, by_mean, by_learned, strict=True):
            for column, scores in (
                ("text", t),
                ("image", m),
                ("joint", t + m),
                ("0.1", 0.9 * t + 0.1 * m),
                ("aggregated", (1 - fusion_weight) * t + fusion_weight * a),
            ):
                found.setdefault(column, []).append(average_precision(scores, labels == query))
    return {column: float(np.nanmean(values)) for column, values in found.items()}


def _vectors(
    text: Stored, pictures: Stored, weights: Mapping[str, Numbers]
) -> tuple[Numbers, Numbers, Numbers]:
    """A query's mean over its prompts, its mean picture of length one, and its aggregated
    embedding."""
    prompts, each = np.atleast_2d(text).astype(np.float64), pictures.astype(np.float64)
    mean = each.mean(axis=0)
    return prompts.mean(axis=0), mean / np.linalg.norm(mean), aggregated(each, weights)


def _products(queries: Numbers, gallery: Stored) -> Numbers:
    """All dot products, (Q, N)."""
    scores = np.empty((len(queries), len(gallery)))
    for first in range(0, len(gallery), _ROWS):
        rows = slice(first, first + _ROWS)
        scores[:, rows] = queries @ gallery[rows].astype(np.float64).T
    return scores
