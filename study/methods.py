"""The rankings that are compared: baselines, the paper's aggregator, and each idea by itself.

A method is fitted on the training categories of a world, makes its choices (λ, strengths) on the
validation categories over the training pictures, and then ranks the gallery. An idea by itself is
put on top of the simplest fusion, the mean of the imagined pictures with the best fixed λ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from components.retrieval import train
from components.retrieval.aggregator import Aggregator
from components.retrieval.features import Array, Features
from components.retrieval.metrics import average_precisions
from components.retrieval.search import Gallery
from study.world import World

WEIGHTS = train.WEIGHTS
GRID = tuple(itertools.product((2e-4, 1e-3), (0.05, 0.1)))  # learning rates, temperatures


@dataclass(frozen=True)
class Pictures:
    """What is ranked, through both encoders: ``clip`` (N, d_clip), ``vision`` (N, d_vision)."""

    clip: Array
    vision: Array


Ranking = Callable[[Pictures], Array]
"""From pictures to the scores (C, N) of every category."""

Method = Callable[[World], Ranking]


def normalised(x: Array) -> Array:
    """Rows of length one; zero rows stay zero."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def linear(text: Array, image: Array, weight: float | Array) -> Ranking:
    """``(1-λ)·<text, CLIP> + λ·<image, DINO>``; ``weight`` is a number or a column (C, 1)."""
    return lambda on: Gallery(on.clip, on.vision).score(text, image, weight).fused


def fused(world: World, text: Array, image: Array, weight: float, temperature: float) -> Ranking:
    """What is served: :func:`linear`, with the hubness that training categories measure taken
    off."""
    known = world.features.rows("train")

    def rank(on: Pictures) -> Array:
        gallery = Gallery.among(on.clip, on.vision, text[known], image[known], temperature)
        return gallery.score(text, image, weight).fused

    return rank


def weighted_mean(world: World, weights: np.ndarray | None = None) -> Array:
    """(C, d): the mean of a category's accepted pictures, of length one."""
    features = world.features
    kept = np.asarray(features.accepted if weights is None else weights, dtype=np.float32)
    return normalised((features.imagined * kept[..., None]).sum(axis=1))


def validation_map(world: World, ranking: Ranking) -> float:
    """mAP of the validation categories over the training pictures: what every choice is made by."""
    features = world.features
    rows = features.rows("validation")
    scores = ranking(Pictures(features.training_clip, features.training_vision))[rows]
    positive = features.labels(features.training)[None, :] == rows[:, None]
    return float(np.nanmean(average_precisions(scores, positive)))


def best(world: World, candidates: Iterable[Ranking]) -> Ranking:
    """The candidate with the best :func:`validation_map`; the first of equals."""
    return max(candidates, key=lambda ranking: validation_map(world, ranking))


def best_weight(world: World, text: Array, image: Array) -> Ranking:
    """The two streams with the best fixed λ."""
    return best(world, (linear(text, image, lam) for lam in WEIGHTS))


# baselines


def text_alone(world: World) -> Ranking:
    return linear(world.features.text, np.zeros_like(world.features.imagined[:, 0]), 0.0)


def text_without_hubness(world: World) -> Ranking:
    text, nothing = world.features.text, np.zeros_like(world.features.imagined[:, 0])
    return fused(world, text, nothing, 0.0, world.train.hubness)


def single_image(world: World) -> Ranking:
    return linear(world.features.text, world.features.imagined[:, 0], 1.0)


def mean_image(world: World) -> Ranking:
    return linear(world.features.text, weighted_mean(world), 1.0)


def joint(world: World) -> Ranking:
    """The plain sum of both: λ = 1/2 up to a factor."""
    return linear(world.features.text, weighted_mean(world), 0.5)


def fixed_tenth(world: World) -> Ranking:
    return linear(world.features.text, weighted_mean(world), 0.1)


def fixed_best(world: World) -> Ranking:
    return best_weight(world, world.features.text, weighted_mean(world))


# the aggregator


def in_batch_contrast(
    scores: Tensor, positive: Tensor, temperature: float, rng: np.random.Generator
) -> Tensor:
    """The loss that CLIP is trained with (Radford et al., 2021), and what a reader of the paper
    would take: one real picture of each category of the batch, softmax both ways."""
    chosen = [int(rng.choice(np.flatnonzero(row))) for row in positive.numpy()]
    logits, target = scores[:, chosen] / temperature, torch.arange(len(scores))
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def published(world: World) -> Aggregator:
    """The published architecture and initialisation."""
    torch.manual_seed(world.seed)
    return Aggregator(world.features.imagined.shape[2])


def averaging(world: World) -> Aggregator:
    """The published architecture, starting as the mean."""
    return train.new_aggregator(world.features, world.train)


def tuned(
    world: World,
    start: Callable[[World], Aggregator],
    *,
    loss: train.Loss | None = None,
    calibrated: bool = True,
    hubness: float = 0.0,
    features: Features | None = None,
) -> Aggregator:
    """The network with the best validation mAP of those trained from ``start`` with each learning
    rate and temperature of :data:`GRID`."""
    found = []
    for learning_rate, temperature in GRID:
        params = world.train.model_copy(
            update={
                "learning_rate": learning_rate,
                "temperature": temperature,
                "hubness": hubness,
            }
        )
        model, history = train.fit(
            features or world.features, params, start(world), loss=loss, calibrated=calibrated
        )
        found.append((float(history["validation_map"].max()), model))
    return max(found, key=lambda pair: pair[0])[1]


def aggregated(world: World, model: Aggregator, temperature: float = 0.0) -> Ranking:
    """``model`` with its own λ, hubness at ``temperature`` taken off."""
    image = train.aggregate(model, world.features)
    return fused(world, world.features.text, image, model.fusion_weight, temperature)


def papers(world: World) -> Ranking:
    """Published architecture and initialisation; λ learned with it, by in-batch contrast."""
    return aggregated(world, tuned(world, published, loss=in_batch_contrast, calibrated=False))


def papers_calibrated(world: World) -> Ranking:
    """As :func:`papers`, with λ chosen on validation categories."""
    return aggregated(world, tuned(world, published, loss=in_batch_contrast))


# what is shipped, and what it is without each of its parts


def shipped(world: World) -> Aggregator:
    """What the stage `train` makes, with the parameters of params.yaml."""
    return train.fit(world.features, world.train)[0]


def default(world: World) -> Ranking:
    return aggregated(world, shipped(world), world.train.hubness)


def hubness_stays(world: World) -> Ranking:
    params = world.train.model_copy(update={"hubness": 0.0})
    return aggregated(world, train.fit(world.features, params)[0])


def contrast_instead(world: World) -> Ranking:
    model, _ = train.fit(world.features, world.train, loss=in_batch_contrast)
    return aggregated(world, model, world.train.hubness)


def contrast_tuned(world: World) -> Ranking:
    strength = world.train.hubness
    model = tuned(world, averaging, loss=in_batch_contrast, hubness=strength)
    return aggregated(world, model, strength)


def published_start_instead(world: World) -> Ranking:
    model, _ = train.fit(world.features, world.train, published(world))
    return aggregated(world, model, world.train.hubness)


def published_start_tuned(world: World) -> Ranking:
    strength = world.train.hubness
    return aggregated(world, tuned(world, published, hubness=strength), strength)


def mean_instead(world: World) -> Ranking:
    """The mean instead of the aggregator, λ chosen on validation."""
    text, image = world.features.text, weighted_mean(world)
    strength = world.train.hubness
    return best(world, (fused(world, text, image, lam, strength) for lam in WEIGHTS))


# ideas, each by itself


def ranking_loss(world: World) -> Ranking:
    """The paper's aggregator with our loss."""
    return aggregated(world, tuned(world, published))


def start_at_mean(world: World) -> Ranking:
    """The paper's aggregator whose projections start as the identity."""
    return aggregated(world, tuned(world, averaging, loss=in_batch_contrast))


def hubness_off(world: World) -> Ranking:
    """Each picture's hubness taken off; temperature and λ chosen on validation."""
    text, image = world.features.text, weighted_mean(world)
    return best(
        world,
        (
            fused(world, text, image, lam, temperature)
            for temperature in (0.25, 0.5, 1.0)
            for lam in WEIGHTS
        ),
    )


class TextToken(Aggregator):
    """The text vector, projected, is one more token; it comes as the last row of the features."""

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

    model = tuned(world, start, loss=in_batch_contrast, features=given)
    return linear(text, train.aggregate(model, given), model.fusion_weight)


def renormalised_text(world: World) -> Ranking:
    """The averaged text vector at length one again."""
    return best_weight(world, normalised(world.features.text), weighted_mean(world))


def _spread(queries: Array, pictures: Array) -> Array:
    """(C, 1): the standard deviation of each query's scores over ``pictures``, from their
    covariance Σ: ``sqrt(q Σ q)``."""
    covariance = np.cov(pictures.T)
    variance = np.einsum("cd,de,ce->c", queries, covariance, queries)
    return np.sqrt(np.maximum(variance, 1e-12))[:, None].astype(np.float32)


def standardised(world: World) -> Ranking:
    """Each stream in units of its spread over the training pictures; a shift of a query's scores
    does not change its ranking, so this is z-scoring, and still one dot product."""
    features, image = world.features, weighted_mean(world)
    text = features.text / _spread(features.text, features.training_clip)
    return best_weight(world, text, image / _spread(image, features.training_vision))


def domain_shift(world: World) -> Ranking:
    """Imagined features moved by the mean difference between real and imagined pictures of the
    training categories."""
    features = world.features
    rows = features.rows("train")
    real = features.training_vision[np.isin(features.labels(features.training), rows)]
    shift = real.mean(axis=0) - features.imagined[rows][features.accepted[rows]].mean(axis=0)
    moved = (features.imagined + shift) * features.accepted[..., None]
    return best_weight(world, features.text, normalised(moved.sum(axis=1)))


def _trusting(world: World, trust: Array) -> Ranking:
    """Pictures weighted by ``exp(strength · trust)``, ``trust`` (C, K)."""
    kept = world.features.accepted
    candidates = []
    for strength in (0.0, 2.0, 5.0, 10.0, 20.0, 40.0):
        weights = np.exp(strength * (trust - trust.max(axis=1, keepdims=True))) * kept
        candidates.append(best_weight(world, world.features.text, weighted_mean(world, weights)))
    return best(world, candidates)


def _agreement(world: World) -> Array:
    """(C, K): cosine of each imagined picture with the mean of its category."""
    return np.einsum("ckd,cd->ck", world.features.imagined, weighted_mean(world))


def _resemblance(world: World) -> Array:
    """(C, K): CLIP's cosine of each imagined picture with its category's text."""
    return np.einsum("ckd,cd->ck", world.imagined_clip, normalised(world.features.text))


def trust_siblings(world: World) -> Ranking:
    return _trusting(world, _agreement(world))


def trust_clip(world: World) -> Ranking:
    return _trusting(world, _resemblance(world))


def drop_worst(world: World) -> Ranking:
    """The n pictures with the best CLIP score of each category."""
    features, trust = world.features, _resemblance(world)
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


def weight_per_query(world: World) -> Ranking:
    """λ rises with the agreement of the imagined pictures and with their CLIP score."""
    features, image = world.features, weighted_mean(world)
    rows = features.rows("train")
    count = np.maximum(features.accepted.sum(axis=1), 1)
    signals = []
    for trust in (_agreement(world), _resemblance(world)):
        value = (trust * features.accepted).sum(axis=1) / count
        signals.append((value - value[rows].mean()) / value[rows].std())
    grid = (-0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1)
    return best(
        world,
        (
            linear(
                features.text,
                image,
                np.clip(lam + a * signals[0] + b * signals[1], 0, 1)[:, None].astype(np.float32),
            )
            for lam in WEIGHTS
            for a, b in itertools.product(grid, grid)
            if a == 0 or b == 0
        ),
    )


def clip_stream(world: World) -> Ranking:
    """A third stream: the imagined pictures through CLIP, against the gallery's CLIP features."""
    features, image = world.features, weighted_mean(world)
    seen_by_clip = normalised((world.imagined_clip * features.accepted[..., None]).sum(axis=1))
    return best(
        world,
        (
            linear(features.text + share * seen_by_clip, image, lam)
            for share in (0.0, 0.1, 0.2, 0.4, 0.8)
            for lam in WEIGHTS
        ),
    )


def prompt_ensemble(world: World) -> Ranking:
    """Twelve templates instead of four."""
    return best_weight(world, world.ensemble, weighted_mean(world))


def query_expansion(world: World) -> Ranking:
    """αQE (Radenović et al., 2018): the n first results, weighted by score³, join the query."""
    return expanded(world, fixed_best(world))


def default_expanded(world: World) -> Ranking:
    """The default, asking the gallery twice."""
    return expanded(world, default(world))


def expanded(world: World, first: Ranking) -> Ranking:
    """``first``, then its own n first results as a query, n and their share chosen on
    validation."""

    def expanding(n: int, share: float) -> Ranking:
        def rank(on: Pictures) -> Array:
            scores = first(on)
            found = np.argsort(-scores, axis=1)[:, :n]
            weight = np.clip(np.take_along_axis(scores, found, axis=1), 0, None)[..., None] ** 3
            more_text = normalised((weight * on.clip[found]).sum(axis=1))
            more_image = normalised((weight * on.vision[found]).sum(axis=1))
            by_more = (more_text @ on.clip.T + more_image @ on.vision.T) / 2
            return ((1 - share) * scores + share * by_more).astype(np.float32)

        return rank

    return best(
        world,
        (expanding(n, share) for n in (1, 2, 4, 8) for share in (0.0, 0.1, 0.2, 0.4)),
    )


BASELINES: dict[str, Method] = {
    "text alone": text_alone,
    "text alone, hubness taken off": text_without_hubness,
    "one imagined picture alone": single_image,
    "mean of the imagined pictures alone": mean_image,
    "joint: their plain sum": joint,
    "fixed λ = 0.1": fixed_tenth,
    "best fixed λ by validation": fixed_best,
    "the paper's aggregator": papers,
    "the paper's aggregator, λ by validation": papers_calibrated,
}

DEFAULTS: dict[str, Method] = {
    "the default": default,
    "the default, with query expansion": default_expanded,
}

IDEAS: dict[str, Method] = {
    "averaged text normalised again": renormalised_text,
    "streams standardised": standardised,
    "hubness taken off": hubness_off,
    "domain shift taken off": domain_shift,
    "pictures weighted by CLIP score": trust_clip,
    "pictures weighted by siblings": trust_siblings,
    "worst pictures dropped by CLIP score": drop_worst,
    "λ per query": weight_per_query,
    "imagined pictures through CLIP too": clip_stream,
    "twelve prompts instead of four": prompt_ensemble,
    "query expansion (αQE)": query_expansion,
    "aggregator, in-batch contrast": papers_calibrated,
    "aggregator, ranking loss": ranking_loss,
    "aggregator that starts at the mean": start_at_mean,
    "aggregator with a text token": text_token,
}

WITHOUT: dict[str, Method] = {
    "hubness stays": hubness_stays,
    "in-batch contrast instead of the ranking loss": contrast_instead,
    "in-batch contrast, best of four pairs": contrast_tuned,
    "the published start instead of the mean": published_start_instead,
    "the published start, best of four pairs": published_start_tuned,
    "the mean of the pictures instead of a network": mean_instead,
}
"""The default with one of its parts taken away."""

KEPT = (
    "hubness taken off",
    "aggregator, ranking loss",
    "aggregator that starts at the mean",
)
"""The ideas that components.retrieval.train has; the others live here alone."""

ALL = {**BASELINES, **DEFAULTS, **IDEAS, **WITHOUT}
