"""Decides whether a dataset is admitted: checked after the stage `dataset`, before any drawing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components import config, manifest, yaml_text
from components.errors import EidolonError
from components.lifecycle.reference import Trained, reference
from components.models.vocabulary import out_of_vocabulary
from components.paths import DATASET
from components.validation import inspection


def admit(params: config.Params) -> tuple[dict[str, Any], str]:
    """Inspect data/dataset. Returns the report, and a sentence about what it was compared with.

    Raises :class:`EidolonError` when the models do not know enough of the categories' names, or
    when the dataset is not fit to train on.
    """
    rows = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    check_vocabulary(params, rows["category"].unique())
    section = yaml_text.parsed(config.PARAMS.read_text())["dataset"]
    now = Trained(section, (DATASET / "manifest.csv").read_text())
    against = reference(now, params.inspect.max_lost)
    return inspection.inspect(params.inspect, against.rows), against.sentence


def check_vocabulary(params: config.Params, names: Iterable[str]) -> None:
    """Check that the text encoders were trained on the words in ``names``, the categories' names.

    Raises :class:`EidolonError` when too many names are outside a tokenizer's vocabulary. Only
    local models are checked, because those of a hub may need a network.
    """
    names = list(names)
    for model, folder in ((params.generator.model, "tokenizer"), (params.encoders.clip, "")):
        file = Path(model) / folder / "tokenizer.json"
        unknown = out_of_vocabulary(file, names) if file.is_file() else []
        if len(unknown) > params.inspect.max_out_of_vocabulary * len(names):
            shown = ", ".join(map(repr, unknown[:3])) + (", …" if len(unknown) > 3 else "")
            raise EidolonError(
                f"{model} was not trained on the words of {len(unknown)} of {len(names)} categories"
                f" ({shown}), so it would draw and find something else: run `eidolon use"
                " folder-sd-turbo` for models that know English (docs/models.md), or set"
                " inspect.max_out_of_vocabulary: 1 in params.yaml to continue with these models"
            )
