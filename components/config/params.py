"""All of params.yaml as one checked value, and how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from components import yaml_text
from components.config.calibrating import Calibrate
from components.config.data import Dataset, Ingest, Inspect
from components.config.fields import Section
from components.config.imagining import Encoders, Generator, Validate
from components.config.monitoring import Monitor
from components.config.retrieval import Bundle, Evaluate, Gate, Index, Train
from components.config.serving import Canary, Serve
from components.errors import EidolonError

PARAMS = Path("params.yaml")


class Params(Section):
    """All of params.yaml."""

    profile: str = Field(description="The profile that these values began as.")
    models: Path = Field(
        description="The folder of local models; stages run again when a file in it changes."
    )
    dataset: Dataset = Field(description="Where the pictures come from, and how they are split.")
    ingest: Ingest = Field(
        description="What pictures from outside must fulfil to join the collection."
    )
    generator: Generator = Field(description="The model that imagines pictures.")
    inspect: Inspect = Field(
        description="What the dataset must fulfil before anything is imagined from it."
    )
    validation: Validate = Field(  # pydantic has a method `validate`
        alias="validate",
        description="What an imagined picture must fulfil; `eidolon thresholds` plots these"
        " limits.",
    )
    encoders: Encoders = Field(description="The models that turn pictures and texts into vectors.")
    train: Train = Field(description="How the aggregator and the fusion weight λ are trained.")
    index: Index = Field(description="How the gallery is indexed.")
    evaluate: Evaluate = Field(description="How mean average precision (mAP) is estimated.")
    calibrate: Calibrate = Field(
        description="How the confidence of answers is fitted, and measured."
    )
    gate: Gate = Field(description="When a challenger may replace the champion.")
    bundle: Bundle = Field(description="What is packed to be served.")
    serve: Serve = Field(description="How a Bento is checked and served.")
    monitor: Monitor = Field(
        description="What is watched while a Bento is served, and when somebody is told."
    )
    canary: Canary = Field(description="When a challenger on trial is withdrawn.")

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
        raw = read(path)
    except FileNotFoundError:
        raise EidolonError(
            f"{path} is missing: run from the repository's root, or `eidolon use embedded`"
        ) from None
    return checked(raw, path)


def read(path: Path) -> Any:
    """The YAML of ``path``. Raises ``FileNotFoundError``, and :class:`EidolonError` for no YAML."""
    try:
        return yaml_text.parsed(path.read_text())
    except yaml.YAMLError as error:
        raise EidolonError(f"{path} is not valid YAML: {error}") from None


def checked(raw: Any, path: Path) -> Params:
    """The values ``raw`` of ``path`` as parameters. Raises :class:`EidolonError` that names every
    wrong one."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {_words(e['type'], e['msg'])}"
            for e in error.errors()
        )
        raise EidolonError(f"{path}: {wrong}") from None


def _words(kind: str, message: str) -> str:
    unknown = kind == "extra_forbidden"
    return "is unknown, `eidolon params` lists what there is" if unknown else message
