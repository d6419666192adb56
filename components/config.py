"""The typed, validated model of params.yaml, where every tunable value lives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from components.errors import EidolonError

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
Template = Annotated[str, Field(min_length=2, max_length=300)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_template(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError(f"{template!r} must contain one {{}}, the place of the category's name")
    return template


class Dataset(_Section):
    adapter: Literal["emblems", "folder"]
    source: Path | None = None
    seed: Seed
    gallery_per_category: Annotated[int, Field(ge=1, le=10_000)]
    training_per_category: Annotated[int, Field(ge=1, le=10_000)]


class Generator(_Section):
    model: str
    revision: str | None = None
    prompt: Template
    images_per_category: Annotated[int, Field(ge=1, le=64)]
    steps: Annotated[int, Field(ge=1, le=200)]
    guidance: Annotated[float, Field(ge=0, le=50)]
    size: Annotated[int, Field(ge=8, le=2048, multiple_of=8)]
    seed: Seed
    batch: Annotated[int, Field(ge=1, le=4096)]

    _one_place = field_validator("prompt")(_check_template)


class Validation(_Section):
    min_std: Share
    min_sharpness: Annotated[float, Field(ge=0)]
    max_hamming: Annotated[int, Field(ge=0, le=64)]
    mostly: Annotated[float, Field(gt=0, le=1)]
    min_accepted: Count


class Encoders(_Section):
    clip: str
    clip_revision: str | None = None
    vision: str
    vision_revision: str | None = None
    prompts: Annotated[tuple[Template, ...], Field(min_length=1)]
    batch: Annotated[int, Field(ge=1, le=65_536)]

    @field_validator("prompts")
    @classmethod
    def _one_place(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_template(p) for p in prompts)


class Train(_Section):
    seed: Seed
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    steps_per_epoch: Count
    batch: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    temperature: Annotated[float, Field(gt=0, le=10)]
    patience: Count


class Evaluate(_Section):
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)]
    seed: Seed


class Gate(_Section):
    min_gain: float
    tolerance: Annotated[float, Field(ge=0, le=1)]


class Serve(_Section):
    golden_queries: Count


class Params(_Section):
    """All of params.yaml."""

    profile: str
    dataset: Dataset
    generator: Generator
    validation: Validation
    encoders: Encoders
    train: Train
    evaluate: Evaluate
    gate: Gate
    serve: Serve


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


def use(profile: str, path: Path = PARAMS) -> Params:
    """Make ``profile`` the current params.yaml, after checking it."""
    chosen = PROFILES / f"{profile}.yaml"
    known = sorted(p.stem for p in PROFILES.glob("*.yaml"))
    if profile not in known:
        raise EidolonError(f"unknown profile {profile!r}; profiles/ has: {', '.join(known)}")
    params = load(chosen)
    aside = path.with_suffix(".part")
    shutil.copyfile(chosen, aside)
    aside.replace(path)
    return params
