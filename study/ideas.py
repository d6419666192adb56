"""Ideas, each by itself.

Unless an idea says otherwise, it is added to the simplest fusion: the mean of the imagined pictures
with the best fixed λ.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from components.learning import aggregator, loss
from components.learning.aggregator import Aggregator
from components.vectors import Array, normalized
from study.baselines import fixed_best
from study.bases import Base
from study.networks import aggregated, averaging, in_batch_contrast, published, tuned
from study.ranking import (
    Pictures,
    Ranking,
    best,
    best_weight,
    fused,
    linear,
    weighted_mean,
)
from study.world import World

TEMPERATURES = (0.1, 0.25, 0.5, 1.0)  # of the correction for hubness


def ranking_loss(world: World) -> Ranking:
    """The paper's aggregator with our loss."""
    return aggregated(world, tuned(world, published, loss.ranking_loss))


def start_at_mean(world: World) -> Ranking:
    """The paper's aggregator whose projections start as the identity."""
    return aggregated(world, tuned(world, averaging, in_batch_contrast))


def corrected(world: World) -> Ranking:
    """Corrected for hubness; temperature and λ chosen on validation."""
    text, image = world.features.text, weighted_mean(world)
    return best(
        world,
        (
            fused(text, image, lam, temperature)
            for temperature in TEMPERATURES
            for lam in world.weights
        ),
    )


class TextToken(Aggregator):
    """The text embedding, projected, is one more token: the last row of the features."""

    def __init__(self, dim: int, text_dim: int) -> None:
        super().__init__(dim)
        self.start_at_mean()
        self.project = nn.Linear(text_dim, dim)
        nn.init.trunc_normal_(self.project.weight, std=0.02)
        nn.init.zeros_(self.project.bias)

    def forward(self, features: Tensor, accepted: Tensor | None = None) -> Tensor:
        assert accepted is not None
        token = self.project(features[:, -1, : self.project.in_features])
        pictures, kept = features[:, :-1], accepted[:, :-1]
        count = kept.sum(1, keepdim=True)
        cls = (pictures * kept.unsqueeze(-1)).sum(1, keepdim=True) / count.clamp(min=1).unsqueeze(1)
        never = torch.zeros_like(kept[:, :1])
        ignored = torch.cat([never, ~kept, never], dim=1)
        for layer in self.self_attn.layers:
            tokens = torch.cat([cls, pictures, token.unsqueeze(1)], dim=1)
            cls, _ = layer(cls, tokens, tokens, key_padding_mask=ignored, need_weights=False)
        return nn.functional.normalize(cls.squeeze(1), dim=-1) * (count > 0)


def text_token(world: World) -> Ranking:
    """Text-conditioned attention."""
    features = world.features
    text = features.text
    row = np.zeros((len(text), 1, features.imagined.shape[2]), dtype=np.float32)
    row[:, 0, : text.shape[1]] = text
    given = replace(
        features,
        imagined=np.concatenate([features.imagined, row], axis=1),
        accepted=np.pad(features.accepted, ((0, 0), (0, 1)), constant_values=True),
    )

    def start(world: World) -> Aggregator:
        torch.manual_seed(world.seed)
        return TextToken(features.imagined.shape[2], text.shape[1])

    model = tuned(replace(world, features=given), start, in_batch_contrast)
    return linear(text, aggregator.aggregate(model, given), model.fusion_weight)


def renormalised_text(world: World) -> Ranking:
    """The averaged text embedding, scaled to length one again."""
    return best_weight(world, normalized(world.features.text), weighted_mean(world))


def _spread(queries: Array, pictures: Array) -> Array:
    """(C, 1): the standard deviation of each query's scores over ``pictures``, from their
    covariance Σ: ``sqrt(q Σ q)``."""
    covariance = np.cov(pictures.T)
    variance = np.einsum("cd,de,ce->c", queries, covariance, queries)
    return np.sqrt(np.maximum(variance, 1e-12))[:, None].astype(np.float32)


def standardised(world: World) -> Ranking:
    """Each score divided by its spread over the training pictures. A constant shift of a query's
    scores does not change its ranking, so this is z-scoring, and still one dot product."""
    features, image = world.features, weighted_mean(world)
    text = features.text / _spread(features.text, features.training_clip)
    return best_weight(world, text, image / _spread(image, features.training_vision))


def _trusting(world: World, trust: Array) -> Ranking:
    """Pictures weighted by ``exp(strength · trust)``, ``trust`` (C, K)."""
    kept = world.features.accepted
    candidates = []
    for strength in (0.0, 2.0, 5.0, 10.0, 20.0, 40.0):
        weights = np.exp(strength * (trust - trust.max(axis=1, keepdims=True))) * kept
        candidates.append(best_weight(world, world.features.text, weighted_mean(world, weights)))
    return best(world, candidates)


def agreement(world: World) -> Array:
    """(C, K): cosine of each imagined picture with the mean of its category."""
    return np.einsum("ckd,cd->ck", world.features.imagined, weighted_mean(world))


def resemblance(world: World) -> Array:
    """(C, K): CLIP's cosine of each imagined picture with its category's text."""
    return np.einsum("ckd,cd->ck", world.imagined_clip, normalized(world.features.text))


def trust_siblings(world: World) -> Ranking:
    return _trusting(world, agreement(world))


def trust_clip(world: World) -> Ranking:
    return _trusting(world, resemblance(world))


def drop_worst(world: World) -> Ranking:
    """The n pictures with the best CLIP score of each category."""
    features, trust = world.features, resemblance(world)
    order = np.argsort(np.argsort(-np.where(features.accepted, trust, -np.inf), axis=1), axis=1)
    return best(
        world,
        (
            best_weight(
                world,
                features.text,
                weighted_mean(world, (order < n) & features.accepted),
            )
            for n in range(1, features.imagined.shape[1] + 1)
        ),
    )


def clip_stream(world: World, base: Base) -> Ranking:
    """A third score: the imagined pictures through CLIP, against the gallery's CLIP features."""
    features, image = world.features, base.join(world.features)
    seen = (world.imagined_clip * features.accepted[..., None]).sum(axis=1)
    seen_by_clip: Array = normalized(seen)
    return best(
        world,
        (
            ranking
            for share in (0.0, 0.1, 0.2, 0.4, 0.8)
            for ranking in base.rankings(world, features.text + share * seen_by_clip, image)
        ),
    )


def prompt_ensemble(world: World, base: Base) -> Ranking:
    """Twelve templates instead of four."""
    return best(world, base.rankings(world, world.ensemble, base.join(world.features)))


def query_expansion(world: World) -> Ranking:
    """αQE (Radenović et al., 2018): the n first results, weighted by score³, join the query."""
    return expanded(world, fixed_best(world))


def expanded(world: World, first: Ranking) -> Ranking:
    """``first``, and then its own n first results as another query. n and their share are chosen on
    validation categories."""

    def expanding(n: int, share: float) -> Ranking:
        def rank(on: Pictures) -> Array:
            scores = first(on)
            found = np.argsort(-scores, axis=1)[:, :n]
            weight = np.clip(np.take_along_axis(scores, found, axis=1), 0, None)[..., None] ** 3
            more_text = normalized((weight * on.clip[found]).sum(axis=1))
            more_image = normalized((weight * on.vision[found]).sum(axis=1))
            by_more = (more_text @ on.clip.T + more_image @ on.vision.T) / 2
            return ((1 - share) * scores + share * by_more).astype(np.float32)

        return rank

    return best(
        world,
        (expanding(n, share) for n in (1, 2, 4, 8) for share in (0.0, 0.1, 0.2, 0.4)),
    )
