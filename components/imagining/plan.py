"""The stage `plan`: lists the pictures to imagine, in one table per shard."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from components import config, descriptions, manifest, names, tables
from components.errors import EidolonError
from components.files import folder_aside
from components.imagining.recipes import wanted
from components.imagining.shards import PLAN_COLUMNS, shard_of
from components.paths import DATASET, PLAN


def plan(params: config.Generator, dataset: Path = DATASET, out: Path = PLAN) -> pd.DataFrame:
    """Write the pictures that are wanted of each category to ``out``, in one table per shard.

    Returns all rows together. Raises :class:`EidolonError` for a prompt of an unknown category, and
    for two categories with the same name.
    """
    rows = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    categories = rows["category"].unique().tolist()
    known = {*map(names.fold, categories)}
    strangers = sorted(name for name in params.category_prompts if names.fold(name) not in known)
    if strangers:
        raise EidolonError(
            f"generator.category_prompts names {strangers[0]!r}, which is not a category of the"
            " dataset: correct the name in params.yaml, or remove it"
        )
    names.check_distinct(categories)
    pictures = wanted(params, categories, descriptions.load(dataset))
    frame = pd.DataFrame(
        [(w.category, w.k, w.prompt, w.seed, w.kind) for w in pictures], columns=list(PLAN_COLUMNS)
    )
    shard = frame["category"].map(lambda name: shard_of(name, len(params.shards)))
    with folder_aside(out) as aside:
        for index in params.shards:
            tables.write(aside / f"{index}.csv", frame[shard == index])
    return frame
