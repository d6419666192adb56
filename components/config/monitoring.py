"""The section of params.yaml about monitoring: what is watched, and when somebody is told."""

from __future__ import annotations

from pydantic import Field

from components.config.fields import Count, Section, Seed, Share


class Monitor(Section):
    """The section `monitor`."""

    days: int = Field(
        ge=1, le=365, description="Days of the logs of the service that are looked at, with today."
    )
    min_queries: Count = Field(
        description="With fewer queries, nothing is concluded from the log of queries."
    )
    max_queries: int = Field(
        ge=100,
        le=1_000_000,
        description="Distinct queries, and training texts, that are embedded at most; a sample of"
        " more.",
    )
    min_marks: Count = Field(
        description="With fewer marks of right or wrong hits, nothing is concluded from feedback."
    )
    seed: Seed = Field(description="Seed of samples and resamples.")
    max_strangers: Share = Field(
        description="Alarm, and retrain, when certainly more than this share of the queries is"
        " unlike every training text."
    )
    max_irrelevant: Share = Field(
        description="Alarm when for more than this share of the queries nothing seemed to fit."
    )
    max_text_only: Share = Field(
        description="Alarm when more than this share of the queries was ranked by text alone."
    )
    max_degraded: Share = Field(
        description="Alarm when more than this share of the queries did without imagined pictures"
        " because these could not be had."
    )
    max_unknown: Share = Field(
        description="Alarm when more than this share of the queries has words that the text encoder"
        " does not know."
    )
    max_truncated: Share = Field(
        description="Alarm when more than this share of the queries is too long for the text"
        " encoder."
    )
    max_errors: Share = Field(
        description="Alarm when more than this share of the searches failed with status 500 or"
        " above."
    )
    max_seconds: float = Field(
        gt=0, description="Alarm when the slowest 5 % of the answers took longer than this."
    )
    min_precision: Share = Field(
        description="Alarm, and retrain, when certainly less than this share of the judged first"
        " hits is right."
    )
    max_gallery_auc: float = Field(
        ge=0.5,
        le=1,
        description="Alarm, and retrain, when a classifier tells today's gallery from the"
        " champion's with an AUC above this; 0.5 is chance.",
    )
    max_category_change: Share = Field(
        description="Alarm, and retrain, when the categories that are new or gone since the"
        " champion are more than this share of its own."
    )
    max_champion_days: int = Field(
        ge=1, description="Alarm when the champion is older than this many days."
    )
    max_data_days: int = Field(
        ge=1, description="Alarm when the newest pictures are older than this many days."
    )
    keep_feedback: bool = Field(
        description="Whether marks of hits are kept in collection/feedback.csv, with the texts of"
        " the queries."
    )
