"""Hubness: how near a picture is to the queries of a bank. Scores subtract it."""

from __future__ import annotations

import numpy as np

from components.index.blocks import blocks
from components.vectors import Array


def hubness(queries: Array, pictures: Array, temperature: float) -> Array:
    """The hubness (N,) of ``pictures`` (N, d): how near each one is to the ``queries`` (B, d).

    It is the soft maximum ``τ·log(mean over queries of exp(<q, x>/τ))``. τ is ``temperature`` times
    the standard deviation of all these similarities. Subtracting it from a picture's scores ranks
    by the inverted softmax (Smith et al., ICLR 2017; for retrieval: Bogolin et al., "Cross Modal
    Retrieval with Querybank Normalisation", CVPR 2022). The inverted softmax asks which query fits
    a picture best, so pictures that are near to every query no longer rank first.

    Zero rows of ``queries`` do not count. The result is zero if no query is left, or if τ is 0.
    """
    queries = queries[queries.any(axis=1)]
    spread = _spread(queries, pictures) if queries.size and pictures.size else 0.0
    tau = temperature * spread
    found = np.zeros(len(pictures), dtype=np.float32)
    if tau > 0:
        # in 64 bits, so that the result in 32 is the same in whatever order a processor adds
        precise = queries.astype(np.float64).T / tau
        for rows in blocks(len(pictures), len(queries)):
            logits = pictures[rows].astype(np.float64) @ precise
            highest = logits.max(axis=1)
            logits -= highest[:, None]
            found[rows] = tau * (highest + np.log(np.exp(logits).mean(axis=1)))
    return found


def _spread(queries: Array, pictures: Array) -> float:
    """The standard deviation of all similarities of ``queries`` (B, d) to ``pictures`` (N, d).

    It comes from their second moments: ``E<q, x>² = <E qqᵀ, E xxᵀ>``.
    """
    moments = [rows.astype(np.float64) for rows in (queries, pictures)]
    second = np.prod([rows.T @ rows / len(rows) for rows in moments], axis=0).sum()
    first = np.prod([rows.mean(axis=0) for rows in moments], axis=0).sum()
    return float(np.sqrt(max(second - first**2, 0.0)))
