"""The typed, validated model of params.yaml, where every tunable value lives."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from components import names
from components.errors import EidolonError

PARAMS = Path("params.yaml")

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]


def _check_amount(amount: int | float) -> int | float:
    number = isinstance(amount, int) and 1 <= amount <= 10_000
    if not (number or (isinstance(amount, float) and 0 < amount < 1)):
        raise ValueError(
            f"{amount} must be a number of pictures, 1 to 10000, or a share of them such as 0.6"
        )
    return amount


Amount = Annotated[int | float, AfterValidator(_check_amount)]
"""So many of a category's pictures, or that share of them."""

Template = Annotated[str, Field(min_length=2, max_length=300)]


def _check_revision(revision: str) -> str:
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(
            f"{revision!r} must be a commit, 40 hex digits: branches and tags can move"
        )
    return revision


Revision = Annotated[str, AfterValidator(_check_revision)]


def _expand(path: Path) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - an unknown user is a name like others


Folder = Annotated[Path, AfterValidator(_expand)]
"""A path that a person writes: a leading `~` is the home."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


def _check_template(template: str) -> str:
    if template.count(names.PLACE) != 1:
        raise ValueError(f"{template!r} must contain one {names.PLACE}, the place of the name")
    return template


class Dataset(_Section):
    adapter: Literal["emblems", "folder", "cub200", "oxford102"]
    source: Folder | None = None
    splits: Folder | None = None
    seed: Seed
    gallery_per_category: Amount | None
    training_per_category: Amount | None
    min_pictures: Count
    leave_out_unreadable: bool = False

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


class Ingest(_Section):
    max_files: Count
    max_bytes: Count
    max_ratio: Annotated[float, Field(ge=1)]
    max_pixels: Annotated[int, Field(ge=1, le=178_956_970)]  # pictures.MAX_PIXELS
    max_hamming: Annotated[int, Field(ge=0, le=64)]
    near_duplicate_distance: Annotated[float, Field(ge=0)]
    settled_seconds: Annotated[float, Field(ge=0)]


class Generator(_Section):
    model: str
    revision: Revision | None = None
    prompt: Template
    category_prompts: dict[str, Template] = {}
    images_per_category: Annotated[int, Field(ge=1, le=64)]
    steps: Annotated[int, Field(ge=1, le=200)]
    guidance: Annotated[float, Field(ge=0, le=50)]
    size: Annotated[int, Field(ge=8, le=2048, multiple_of=8)]
    seed: Seed
    batch: Annotated[int, Field(ge=1, le=4096)] | None  # null: from free memory
    shards: Annotated[tuple[int, ...], Field(min_length=1, max_length=1000)]

    _one_place = field_validator("prompt")(_check_template)

    @field_validator("shards")
    @classmethod
    def _from_zero(cls, shards: tuple[int, ...]) -> tuple[int, ...]:
        if shards != tuple(range(len(shards))):
            raise ValueError(
                f"{list(shards)} must count from 0, such as [0, 1, 2] for three shards"
            )
        return shards

    @field_validator("category_prompts")
    @classmethod
    def _folded(cls, prompts: dict[str, str]) -> dict[str, str]:
        """By folded name, so that a prompt belongs to its category however its name is written."""
        try:
            names.distinct(prompts)
        except EidolonError as error:
            raise ValueError(str(error)) from None
        return {names.fold(name): prompt for name, prompt in prompts.items()}

    def prompt_for(self, text: str) -> str:
        """What the generator is asked for ``text``, a category's name or a query: the template (or
        whole prompt) of its own in ``category_prompts``, or else ``prompt``."""
        return names.fill(self.category_prompts.get(names.fold(text), self.prompt), text)


class Inspect(_Section):
    min_gallery: Count
    min_side: Count
    copy_colour_distance: Share
    near_duplicate_distance: Annotated[float, Field(ge=0)]
    max_change: Annotated[float, Field(ge=0)]
    max_lost: Share
    max_drift: Share
    max_out_of_vocabulary: Share
    mostly: Annotated[float, Field(gt=0, le=1)]


class Validate(_Section):
    min_contrast: Share
    min_sharpness: Annotated[float, Field(ge=0)]
    max_sharpness: Annotated[float, Field(gt=0)]
    min_clip_margin: Annotated[float, Field(ge=-2, le=2)]
    min_view_distance: Share
    min_category_similarity: Annotated[float, Field(ge=-1, le=1)]
    attempts: Annotated[int, Field(ge=0, le=100)]
    min_accepted: Count
    min_diversity: Annotated[float, Field(ge=0, le=2)]
    max_text_only: Share
    mostly: Annotated[float, Field(gt=0, le=1)]


class Encoders(_Section):
    clip: str
    clip_revision: Revision | None = None
    vision: str
    vision_revision: Revision | None = None
    text_templates: Annotated[tuple[Template, ...], Field(min_length=1)]
    batch: Annotated[int, Field(ge=1, le=65_536)] | None  # null: from free memory

    @field_validator("text_templates")
    @classmethod
    def _one_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_template(p) for p in templates)


class Train(_Section):
    seed: Seed
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    steps_per_epoch: Count
    batch: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    temperature: Annotated[float, Field(gt=0, le=10)]
    patience: Count


class Index(_Section):
    hubness_temperature: Annotated[float, Field(ge=0, le=100)]


class Evaluate(_Section):
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)]
    min_categories: Annotated[int, Field(ge=2)]
    seed: Seed


class Gate(_Section):
    min_gain: float
    tolerance: Annotated[float, Field(ge=0, le=1)]


class Serve(_Section):
    golden_queries: Count


class Params(_Section):
    """All of params.yaml."""

    profile: str
    models: Path
    dataset: Dataset
    ingest: Ingest
    generator: Generator
    inspect: Inspect
    validation: Validate = Field(alias="validate")  # pydantic has a method of that name
    encoders: Encoders
    train: Train
    index: Index
    evaluate: Evaluate
    gate: Gate
    serve: Serve

    @model_validator(mode="after")
    def _stages_follow_each_model(self) -> Params:
        """A model is pinned by a commit, or its files lie where dvc.yaml sees them change."""
        used = {
            "generator.model": (self.generator.model, self.generator.revision),
            "encoders.clip": (self.encoders.clip, self.encoders.clip_revision),
            "encoders.vision": (self.encoders.vision, self.encoders.vision_revision),
        }
        for key, (model, revision) in used.items():
            if revision is None and not Path(model).is_relative_to(self.models):
                raise ValueError(
                    f"{key} {model!r} is neither a folder in {self.models} (`models`) nor a model"
                    f" of a hub with a commit as its revision, such as the one that"
                    f" `git ls-remote https://huggingface.co/{model} HEAD` prints"
                )
        return self

    @model_validator(mode="after")
    def _enough_is_imagined(self) -> Params:
        least, count = self.validation.min_accepted, self.generator.images_per_category
        if least > count:
            raise ValueError(
                f"validate.min_accepted {least} is more than generator.images_per_category"
                f" {count}: every category would be left to text alone"
            )
        return self


def load(path: Path = PARAMS) -> Params:
    """Read and check ``path``. Raises :class:`EidolonError` that names every wrong value."""
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise EidolonError(
            f"{path} is missing: run from the repository's root, or `eidolon use embedded`"
        ) from None
    except yaml.YAMLError as error:
        raise EidolonError(f"{path} is not valid YAML: {error}") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()
        )
        raise EidolonError(f"{path}: {wrong}") from None
