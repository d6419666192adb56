"""The sections of params.yaml about search: training, the index, evaluation, gate, and serving."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.config.fields import Count, PositiveShare, Section, Seed, Step

Engine = Literal["exact", "quantised", "approximate", "server"]


class Train(Section):
    """The section `train`."""

    seed: Seed = Field(description="Seed of the initial weights, the batches and dropout.")
    epochs: int = Field(ge=1, le=100_000, description="Epochs, at most.")
    steps_per_epoch: Count = Field(description="Steps of the optimiser in one epoch.")
    batch: int = Field(ge=2, description="Categories in one step.")
    learning_rate: float = Field(gt=0, le=1, description="Learning rate of AdamW.")
    weight_decay: float = Field(ge=0, le=1, description="Weight decay of AdamW.")
    temperature: float = Field(
        gt=0, le=10, description="Temperature of the loss; scores are divided by it."
    )
    patience: Count = Field(
        description="Training ends after this many epochs without a better validation mAP."
    )
    fusion_weight_step: Step = Field(
        description="λ is chosen from a grid from 0 to 1 with this step; evaluation plots the same"
        " grid.",
    )
    accelerator: bool = Field(
        default=False,
        description="Whether training uses the accelerator where there is one. Its sums round"
        " otherwise, so a machine without one gets other weights.",
    )


class Index(Section):
    """The section `index`."""

    hubness_temperature: float = Field(
        ge=0,
        le=100,
        description="Temperature of the correction for hubness, in standard deviations of the"
        " similarities; 0: no correction.",
    )
    engine: Literal["auto"] | Engine = Field(
        default="auto",
        description="How a bundle is searched (docs/architecture.md, Measured is served); auto: by"
        " the number of its pictures; server: by the one that `EIDOLON_INDEX_URL` names.",
    )
    quantise_from: Count = Field(
        default=50_000,
        description="Pictures from which auto is quantised.",
    )
    approximate_from: Count | None = Field(
        default=None,
        description="Pictures from which auto is approximate; null: never.",
    )
    recall: PositiveShare = Field(
        default=0.99,
        description="The share of the 20 best pictures that the approximate engine must find for"
        " the known categories; it reads as many groups as that takes.",
    )

    def engine_for(self, pictures: int) -> Engine:
        """The engine for a gallery of so many pictures."""
        if self.engine != "auto":
            return self.engine
        if self.approximate_from is not None and pictures >= self.approximate_from:
            return "approximate"
        return "quantised" if pictures >= self.quantise_from else "exact"


class Evaluate(Section):
    """The section `evaluate`."""

    bootstrap: int = Field(
        ge=100,
        le=1_000_000,
        description="Resamples of the categories, for the 95 % intervals.",
    )
    min_categories: int = Field(
        ge=2,
        description="Categories that a group needs for an interval; with fewer the gate does not"
        " conclude.",
    )
    seed: Seed = Field(description="Seed of the resamples.")


class Gate(Section):
    """The section `gate`."""

    min_gain: float = Field(
        description="A challenger passes only if the lower bound of its gain over text alone on new"
        " categories, in mAP, is above this."
    )
    margin: PositiveShare = Field(
        description="The loss in mAP that does not matter: a challenger passes only if it is shown"
        " not to lose this much against the champion, or against the best version so far."
    )
    slice_margin: PositiveShare = Field(
        description="The same for each slice of the categories or queries, which are compared less"
        " precisely than the whole: docs/promotion.md."
    )
    approval: bool = Field(
        default=False,
        description="Whether a person must approve a version in Airflow before it becomes the"
        " champion.",
    )
    approval_hours: float = Field(
        default=24,
        gt=0,
        le=720,
        description="Hours that a version waits for the approval; after that the champion stays.",
    )


class Bundle(Section):
    """The section `bundle`."""

    thumbnail_pixels: int = Field(
        ge=16,
        le=2048,
        description="Pixels of the longer side of the pictures that are shown beside results.",
    )
    pictures: Literal["bundled", "store"] = Field(
        default="bundled",
        description="Where those pictures are: in each version, which can then be served anywhere;"
        " or once for all in the store of thumbnails, which the service then needs.",
    )
    check_content: bool = Field(
        default=False,
        description="Whether a content classifier judges the pictures that are served, those that"
        " are imagined for texts included; it needs the extra `content`.",
    )
    content_threshold: PositiveShare = Field(
        default=0.8,
        description="A picture with this score or more of the content classifier is left out.",
    )
    originals: bool = Field(
        default=False,
        description="Whether the bundle holds the gallery's own files too, so that people can open"
        " them; it grows by their size.",
    )
