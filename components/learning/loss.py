"""The loss function that trains the aggregator and λ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Rng = np.random.Generator


Loss = Callable[[Tensor, Tensor, float, Rng], Tensor]
"""Takes scores (B, M), positives (B, M), a temperature and a random generator."""


def ranking_loss(scores: Tensor, positive: Tensor, temperature: float, _: Rng) -> Tensor:
    """The mean over positive pictures ``p`` of ``-log(e^(s_p/τ) / (e^(s_p/τ) + Σ e^(s_n/τ)))``.

    ``n`` runs over the pictures of other categories. This is the supervised contrastive loss
    (Khosla et al., NeurIPS 2020) without the other positives in the denominator, because they need
    not rank lower. ``scores`` (B, M) are those of B categories for all M training pictures,
    ``positive`` (B, M) is bool, and ``τ`` is the temperature.
    """
    logits = scores / temperature
    others = torch.logsumexp(logits.masked_fill(positive, -torch.inf), dim=1, keepdim=True)
    return (torch.logaddexp(logits, others) - logits)[positive].mean()
