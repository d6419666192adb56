"""Definitions written out without a shortcut, which the aggregator and the metrics must equal."""

from __future__ import annotations

import math

import numpy as np

from components.learning.aggregator import Aggregator


def independent(model: Aggregator, features: np.ndarray) -> np.ndarray:
    """Attention written out in numpy: one query (the CLS row), keys and values from all rows."""
    cls = features.mean(0)
    for layer in model.self_attn.layers:
        state = {k: v.detach().double().numpy() for k, v in layer.state_dict().items()}
        wq, wk, wv = np.split(state["in_proj_weight"], 3)
        bq, bk, bv = np.split(state["in_proj_bias"], 3)
        tokens = np.vstack([cls, features])
        query = wq @ cls + bq
        keys, values = tokens @ wk.T + bk, tokens @ wv.T + bv
        logits = keys @ query / np.sqrt(len(cls))
        attention = np.exp(logits - logits.max())
        attention /= attention.sum()
        cls = state["out_proj.weight"] @ (attention @ values) + state["out_proj.bias"]
    return cls / np.linalg.norm(cls)


def by_the_book(ranked: list[bool]) -> float:
    """A plain loop over the ranks: the definition of the revisited Oxford evaluation."""
    hits, total, positives = 0, 0.0, sum(ranked)
    for rank, hit in enumerate(ranked):
        if hit:
            before = 1.0 if rank == 0 else hits / rank
            hits += 1
            total += (before + hits / (rank + 1)) / 2
    return total / positives


def slow(scores: np.ndarray, positive: np.ndarray, junk: np.ndarray) -> float:
    """The definition without a shortcut: sort, drop the junk, walk the ranking."""
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))
    ranked = [bool(positive[row]) for row in order if positive[row] or not junk[row]]
    return by_the_book(ranked) if any(ranked) else math.nan
