"""May this dataset be drawn for? Asked between the stage `dataset` and the drawing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from components import config, manifest
from components.errors import EidolonError
from components.lifecycle.reference import Trained, reference
from components.models.vocabulary import out_of_vocabulary
from components.paths import DATASET
from components.validation import inspection


def admit(params: config.Params) -> tuple[dict[str, Any], str]:
    """Inspect the dataset that is here; the report, and what it was compared with.

    Raises :class:`EidolonError` when the models know too few of the categories' names, or the
    dataset is not fit to train on.
    """
    rows = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    check_words(params, rows["category"].unique())
    asked = yaml.safe_load(config.PARAMS.read_text())["dataset"]
    now = Trained(asked, (DATASET / "manifest.csv").read_text())
    against = reference(now, params.inspect.max_lost)
    return inspection.inspect(params.inspect, against.rows), against.words


def check_words(params: config.Params, names: Iterable[str]) -> None:
    """Raise :class:`EidolonError` when a text encoder spells out too many of ``names`` in letters:
    it was not trained on such words. Models of a hub are not asked, since that needs a network."""
    names = list(names)
    for model, folder in ((params.generator.model, "tokenizer"), (params.encoders.clip, "")):
        file = Path(model) / folder / "tokenizer.json"
        unknown = out_of_vocabulary(file, names) if file.is_file() else []
        if len(unknown) > params.inspect.max_out_of_vocabulary * len(names):
            shown = ", ".join(map(repr, unknown[:3])) + (", …" if len(unknown) > 3 else "")
            raise EidolonError(
                f"{model} was not trained on the words of {len(unknown)} of {len(names)} categories"
                f" ({shown}): its tokenizer spells them out in letters, so it would draw and find"
                " something else. `eidolon use folder-sd-turbo` takes models that know English"
                " (docs/models.md); inspect.max_out_of_vocabulary: 1 in params.yaml goes on with"
                " these"
            )
