"""The loss that the aggregator is trained with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Rng = np.random.Generator


Loss = Callable[[Tensor, Tensor, float, Rng], Tensor]


def ranking_loss(scores: Tensor, positive: Tensor, temperature: float, _: Rng) -> Tensor:
    """Mean over positive pictures ``p`` of ``-log(e^(s_p/τ) / (e^(s_p/τ) + Σ e^(s_n/τ)))``.

    ``n`` runs over the pictures of other categories: supervised contrast (Khosla et al., NeurIPS
    2020) without the other positives in the denominator, since they need not rank lower.
    ``scores`` (B, M) of B categories over all M training pictures, ``positive`` (B, M) bool, ``τ``
    the temperature.
    """
    logits = scores / temperature
    others = torch.logsumexp(logits.masked_fill(positive, -torch.inf), dim=1, keepdim=True)
    return (torch.logaddexp(logits, others) - logits)[positive].mean()
