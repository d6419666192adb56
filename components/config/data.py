"""The sections of params.yaml about the dataset: its source, what is ingested, and inspection."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from components.config.fields import (
    Amount,
    Count,
    Folder,
    PartialShare,
    PositiveShare,
    Section,
    Seed,
    Share,
)


class Dataset(Section):
    """The section `dataset`."""

    adapter: Literal["emblems", "folder", "cub200", "oxford102"] = Field(
        description="The source of the pictures; docs/datasets.md describes each. Emblems are drawn"
        " by code."
    )
    source: Folder | None = Field(
        default=None, description="The folder that the adapter reads; null for emblems."
    )
    splits: Folder | None = Field(
        default=None,
        description="A folder of class lists that replace the adapter's own split; null: none.",
    )
    seed: Seed = Field(description="Seed of the drawn pictures and of the split of the categories.")
    gallery_per_category: Amount | None = Field(
        description="Pictures of a category that are searched: a number, a share such as 0.6, or"
        " null for all that the official split has."
    )
    training_per_category: Amount | None = Field(
        description="Pictures of a category to train on: a number, a share such as 0.4, or null for"
        " all that the official split has."
    )
    min_pictures: Count = Field(
        description="An ingested category joins the dataset once it has this many pictures."
    )
    unseen_share: PartialShare = Field(
        description="Share of the categories that training never sees, where no official split or"
        " class list says which.",
    )
    gate_share: Share = Field(
        description="Share of the unseen categories that the gate decides by instead; no reported"
        " figure counts them.",
    )
    validation_share: PartialShare = Field(
        description="Share of the categories that epochs and λ are chosen by, where no official"
        " split or class list says which.",
    )
    descriptions: Literal["own"] | Folder | None = Field(
        default=None,
        description="Texts that describe categories: a JSON or CSV file, or a folder"
        " (docs/datasets.md); own: those that emblems have; null: none, names are all.",
    )
    descriptions_per_category: Count = Field(
        default=10, description="Descriptions that are used of one category, at most."
    )
    leave_out_unreadable: bool = Field(
        default=False,
        description="Whether to go on without pictures that cannot be read, or to stop at them.",
    )

    @model_validator(mode="after")
    def _fits_the_adapter(self) -> Dataset:
        if self.adapter == "emblems":
            self.numbers()
        if self.adapter == "folder":
            self.amounts()
        if self.adapter != "emblems":
            self.folder()
        elif self.splits is not None:
            raise ValueError("emblems have a split of their own: set splits to null")
        if self.descriptions == "own" and self.adapter != "emblems":
            raise ValueError(f"{self.adapter} has no descriptions of its own: name a file, or null")
        return self

    @model_validator(mode="after")
    def _leaves_categories_to_train_on(self) -> Dataset:
        if self.unseen_share + self.validation_share >= 1:
            raise ValueError(
                f"unseen_share {self.unseen_share} and validation_share {self.validation_share}"
                " leave no category to train on: together they must be less than 1"
            )
        return self

    def amounts(self) -> tuple[int | float, int | float]:
        """Gallery and training pictures of a category, for an adapter that deals them out itself.

        ``null`` means all, which only a benchmark with an official split can give.
        Raises ``ValueError`` for that, and for shares of more than all pictures.
        """
        gallery, training = self.gallery_per_category, self.training_per_category
        if gallery is None or training is None:
            raise ValueError(
                f"{self.adapter} needs numbers{'' if self.adapter == 'emblems' else ' or shares'}"
                " for gallery_per_category and training_per_category"
            )
        if isinstance(gallery, float) and isinstance(training, float) and gallery + training > 1:
            raise ValueError(
                f"gallery_per_category {gallery} and training_per_category {training} are more"
                " than all pictures: shares add up to 1 at most"
            )
        return gallery, training

    def numbers(self) -> tuple[int, int]:
        """As :meth:`amounts`, for an adapter that draws. Raises ``ValueError`` for shares too."""
        gallery, training = self.amounts()
        if isinstance(gallery, float) or isinstance(training, float):
            raise ValueError(
                f"{self.adapter} are drawn: gallery_per_category and training_per_category must"
                " be numbers"
            )
        return gallery, training

    def folder(self) -> Path:
        """The folder that an adapter reads. Raises ``ValueError`` when none is named."""
        if self.source is None:
            raise ValueError(f"{self.adapter} needs a source: the folder that holds the dataset")
        return self.source


class Ingest(Section):
    """The section `ingest`."""

    max_files: Count = Field(description="Files in one source, at most.")
    max_bytes: Count = Field(description="Bytes of one source when unpacked, at most.")
    max_ratio: float = Field(
        ge=1, description="Unpacked bytes for each packed byte of an archive, at most."
    )
    max_file_bytes: Count = Field(description="Bytes of one picture file, at most.")
    max_pixels: int = Field(  # the upper bound is components.images.decoding.MAX_PIXELS
        ge=1, le=178_956_970, description="Pixels of one picture, at most."
    )
    max_hamming: int = Field(
        ge=0,
        le=64,
        description="Two pictures are compared in detail when at most this many of the 64 bits of"
        " their difference hashes differ.",
    )
    near_duplicate_distance: float = Field(
        ge=0,
        description="Two compared pictures are near-duplicates when at most this share of their"
        " detail differs: docs/data.md.",
    )
    settled_seconds: float = Field(
        ge=0, description="An entry of the inbox is taken after this many seconds without a change."
    )


class Inspect(Section):
    """The section `inspect`."""

    min_gallery: Count = Field(description="A category with fewer gallery pictures gets a warning.")
    min_side: Count = Field(description="A picture with a side of fewer pixels gets a warning.")
    copy_colour_distance: Share = Field(
        description="Two pictures are compared in detail when their colours at 8x8 pixels differ by"
        " less than this."
    )
    near_duplicate_distance: float = Field(
        ge=0,
        description="Two compared pictures are copies when at most this share of their detail"
        " differs: docs/data.md.",
    )
    near_copy_factor: float = Field(
        ge=1,
        description="Pictures of two categories with the same outline are near-copies up to this"
        " many times copy_colour_distance.",
    )
    max_outline_bits: int = Field(
        ge=0,
        le=64,
        description="Two pictures have the same outline when at most this many of the 64 bits of"
        " their difference hashes differ.",
    )
    max_change: float = Field(
        ge=0,
        description="A category gets a warning when its number of pictures has changed by more than"
        " this share since the champion's dataset.",
    )
    max_lost: Share = Field(
        description="The run stops when more than this share of the champion's categories is gone."
    )
    max_drift: Share = Field(
        description="Half the summed change of the categories' shares since the champion's dataset;"
        " more than this is a warning."
    )
    max_out_of_vocabulary: Share = Field(
        description="The run stops when a tokenizer spells out more than this share of the category"
        " names letter by letter."
    )
    mostly: PositiveShare = Field(
        description="The run stops unless at least this share of the pictures is in one category"
        " only, and not in both gallery and training."
    )
