"""Hubness: how near a picture is to all queries of a bank, to be subtracted from its scores."""

from __future__ import annotations

import numpy as np

from components.index.blocks import blocks
from components.vectors import Array


def hubness(queries: Array, pictures: Array, temperature: float) -> Array:
    """(N,): how much each of ``pictures`` (N, d) is like every one of ``queries`` (B, d).

    The soft maximum ``τ·log(mean over queries of exp(<q, x>/τ))``, τ being ``temperature`` standard
    deviations of these similarities. To subtract it from a picture's scores is to rank by the
    inverted softmax (Smith et al., ICLR 2017; for retrieval Bogolin et al., "Cross Modal Retrieval
    with Querybank Normalisation", CVPR 2022). It asks which of all queries fits a picture best, so
    pictures that are near to everything no longer come first. Rows of ``queries`` that are zero do
    not count. The result is zero where no query is left, or τ is 0.
    """
    queries = queries[queries.any(axis=1)]
    spread = _spread(queries, pictures) if queries.size and pictures.size else 0.0
    tau = np.float32(temperature * spread)
    found = np.zeros(len(pictures), dtype=np.float32)
    if tau > 0:
        for rows in blocks(len(pictures), len(queries)):
            logits = pictures[rows] @ queries.T / tau
            highest = logits.max(axis=1)
            logits -= highest[:, None]
            found[rows] = tau * (highest + np.log(np.exp(logits).mean(axis=1)))
    return found


def _spread(queries: Array, pictures: Array) -> float:
    """The standard deviation of all similarities of ``queries`` (B, d) to ``pictures`` (N, d), by
    their second moments: ``E<q, x>² = <E qqᵀ, E xxᵀ>``."""
    moments = [rows.astype(np.float64) for rows in (queries, pictures)]
    second = np.prod([rows.T @ rows / len(rows) for rows in moments], axis=0).sum()
    first = np.prod([rows.mean(axis=0) for rows in moments], axis=0).sum()
    return float(np.sqrt(max(second - first**2, 0.0)))
