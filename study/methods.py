"""The methods that are compared, by the names that docs/results.md gives them."""

from __future__ import annotations

from collections.abc import Callable

from study import baselines, bases, ceiling, defaults, gate, ideas, queries, spaces
from study.bases import Base, Idea
from study.ranking import Method
from study.world import World

CHOSEN_AGAIN, ON = "the default, λ chosen again", "the default + "

BASELINES: dict[str, Method] = {
    "text alone": baselines.text_alone,
    "text alone, corrected": baselines.text_corrected,
    "one imagined picture alone": baselines.single_image,
    "mean of the imagined pictures alone": baselines.mean_image,
    "mean of the imagined pictures alone, corrected": baselines.mean_image_corrected,
    "joint: their plain sum": baselines.joint,
    "fixed λ = 0.1": baselines.fixed_tenth,
    "best fixed λ by validation": baselines.fixed_best,
    "the paper's aggregator": baselines.papers,
    "the paper's aggregator, λ by validation": baselines.papers_calibrated,
    "the paper's aggregator, λ by validation, corrected": baselines.papers_corrected,
}

DEFAULTS: dict[str, Method] = {
    "the default": defaults.default,
    "the default, with query expansion": defaults.default_expanded,
}

ADDED: dict[str, Idea] = {
    "λ per query, by a gate": gate.per_query,
    "control: the best λ of each query, by labels": gate.by_labels,
    "modality means taken off": spaces.means_off,
    "projection that ignores what is invented": spaces.projected,
    "rank fusion": queries.rank_fusion,
    "K per query, by agreement": queries.pictures_by_agreement,
    "prompts varied by picture, as drawn": queries.varied,
    "control: one prompt, as drawn": queries.unvaried,
    "imagined pictures through CLIP too": ideas.clip_stream,
    "twelve prompts instead of four": ideas.prompt_ensemble,
}
"""Ideas that are added both to the simplest fusion and to the default."""


def _added(idea: Idea, to: Callable[[World], Base]) -> Method:
    """``idea``, added to the base that ``to`` makes."""
    return lambda world: idea(world, to(world))


IDEAS: dict[str, Method] = {
    **{name: _added(idea, bases.simplest) for name, idea in ADDED.items()},
    "averaged text normalised again": ideas.renormalised_text,
    "streams standardised": ideas.standardised,
    "corrected for hubness": ideas.corrected,
    "pictures weighted by CLIP score": ideas.trust_clip,
    "pictures weighted by siblings": ideas.trust_siblings,
    "worst pictures dropped by CLIP score": ideas.drop_worst,
    "query expansion (αQE)": ideas.query_expansion,
    "aggregator, in-batch contrast": baselines.papers_calibrated,
    "aggregator, ranking loss": ideas.ranking_loss,
    "aggregator that starts at the mean": ideas.start_at_mean,
    "aggregator with a text token": ideas.text_token,
}

ON_DEFAULT: dict[str, Method] = {
    name: _added(idea, bases.default)
    for name, idea in {
        CHOSEN_AGAIN: bases.nothing,
        **{f"{ON}{name}": idea for name, idea in ADDED.items()},
    }.items()
}
"""The default with each of :data:`ADDED`, and with λ chosen again, as each of these chooses it."""

WITHOUT: dict[str, Method] = {
    "not corrected for hubness": defaults.not_corrected,
    "in-batch contrast instead of the ranking loss": defaults.contrast_instead,
    "in-batch contrast, best of four pairs": defaults.contrast_tuned,
    "the published start instead of the mean": defaults.published_start_instead,
    "the published start, best of four pairs": defaults.published_start_tuned,
    "the mean of the pictures instead of a network": defaults.mean_instead,
}
"""The default without one of its parts."""

KEPT = (
    "corrected for hubness",
    "aggregator, ranking loss",
    "aggregator that starts at the mean",
)
"""The ideas that components.learning.train uses; the others exist in this study alone."""

OFFSET = (
    "text alone",
    "the paper's aggregator, λ by validation",
    "the paper's aggregator, λ by validation, corrected",
    "the default",
)
"""Methods that are also shown with a constant subtracted from the scores of seen pictures."""

CONTROLLED = tuple(
    dict.fromkeys((*OFFSET, "best fixed λ by validation", *IDEAS, *ON_DEFAULT)),
)
"""Methods whose gain is also measured with that constant: these, and what each is added to."""

SHIFTED = ", minus a constant for seen pictures"

ALL = {**BASELINES, **DEFAULTS, **IDEAS, **ON_DEFAULT, **ceiling.METHODS, **WITHOUT}
