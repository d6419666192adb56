"""The methods that are compared, by the names that docs/results.md gives them."""

from __future__ import annotations

from study import baselines, defaults, ideas
from study.ranking import Method

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

IDEAS: dict[str, Method] = {
    "averaged text normalised again": ideas.renormalised_text,
    "streams standardised": ideas.standardised,
    "corrected for hubness": ideas.corrected,
    "domain shift subtracted": ideas.domain_shift,
    "pictures weighted by CLIP score": ideas.trust_clip,
    "pictures weighted by siblings": ideas.trust_siblings,
    "worst pictures dropped by CLIP score": ideas.drop_worst,
    "λ per query": ideas.weight_per_query,
    "imagined pictures through CLIP too": ideas.clip_stream,
    "twelve prompts instead of four": ideas.prompt_ensemble,
    "query expansion (αQE)": ideas.query_expansion,
    "aggregator, in-batch contrast": baselines.papers_calibrated,
    "aggregator, ranking loss": ideas.ranking_loss,
    "aggregator that starts at the mean": ideas.start_at_mean,
    "aggregator with a text token": ideas.text_token,
}

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

SHIFTED = ", minus a constant for seen pictures"

ALL = {**BASELINES, **DEFAULTS, **IDEAS, **WITHOUT}
