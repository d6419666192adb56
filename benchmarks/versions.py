"""Bytes on disk that a second version adds which differs from the first by one category.

The bundle of version 1 is made of what `make run` left here without its last category, that of
version 2 of all of it, each with weights of its own. A bundle is copied as a run copies it: to
artifacts/, DVC's cache, MLflow and BentoML's store. Pages, features and code of a version are not
counted.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file, save_file

from components import config, manifest, tables
from components.errors import one_sentence
from components.features.features import Features
from components.features.queries import Queries
from components.files import sha256
from components.paths import ACCEPTED, AGGREGATOR, BUNDLE, FEATURES, HOME
from components.pruning.garbage import below, size
from components.pruning.sharing import equal, share
from components.serving.bundle import bundle

Pictures = Literal["bundled", "store"]
_AS_THEY_ARE = ("zoo", "dvc.lock", "data/dataset", "artifacts/validation", "artifacts/evaluation")


def main() -> None:
    """Compare pictures in each bundle with a store of them, and copies with hard links."""
    table = Table(title="MB on disk: bundles and thumbnails")
    for column in ("bundle.pictures", "equal files", "version 1", "version 2 adds"):
        table.add_column(column)
    for pictures in ("bundled", "store"):
        for shared in (False, True):
            first, more = measure(pictures, shared=shared)
            how = "one file" if shared else "copies"
            table.add_row(pictures, how, f"{first / 1e6:.1f}", f"{more / 1e6:.1f}")
    Console().print(table)


def measure(pictures: Pictures, *, shared: bool) -> tuple[int, int]:
    """The bytes of version 1, and those that version 2 adds."""
    with tempfile.TemporaryDirectory(dir=HOME, prefix="versions-") as place:
        root, sizes = Path(place).resolve(), []
        _prepare(root)
        for number in (1, 2):
            _inputs(root, number)
            with chdir(root):
                params = config.load()
                chosen = params.bundle.model_copy(update={"pictures": pictures})
                bundle(params.model_copy(update={"bundle": chosen}))
                _copy(number)
                if shared:
                    share(equal([*Path("mlflow").iterdir(), *Path("bentoml").iterdir()]))
                counted = ("cache", "mlflow", "bentoml", HOME / "thumbnails", BUNDLE)
                sizes.append(sum(size(below(Path(folder))) for folder in counted))
        return sizes[0], sizes[1] - sizes[0]


def _prepare(root: Path) -> None:
    """What both versions are made of, as links to what is here."""
    shutil.copyfile("params.yaml", root / "params.yaml")
    for name in (*_AS_THEY_ARE, "artifacts/confidence"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(Path(name).resolve())
    for folder in (FEATURES, AGGREGATOR, ACCEPTED, HOME):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for part in ACCEPTED.iterdir():
        if part.is_dir():
            (root / ACCEPTED / part.name).symlink_to(part.resolve())


def _inputs(root: Path, number: int) -> None:
    """Features, weights and accepted pictures of a version."""
    features = Features.load()
    drawn = manifest.read(ACCEPTED, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    last = features.categories["category"].iloc[-1]
    kept = drawn if number == 2 else drawn[drawn["category"] != last]
    _without(features, str(last) if number == 1 else "").save(root / FEATURES)
    tables.write(root / ACCEPTED / "manifest.csv", kept)
    weights = load_file(AGGREGATOR / "aggregator.safetensors")
    changed = {
        name: values + np.asarray(number * 1e-7, values.dtype)
        if values.dtype.kind == "f" and values.ndim
        else values
        for name, values in weights.items()
    }
    save_file(changed, root / AGGREGATOR / "aggregator.safetensors")


def _without(features: Features, category: str) -> Features:
    """The ``features`` without the queries and the gallery of one category."""
    stays = (features.categories["category"] != category).to_numpy()
    shown = (features.gallery["category"] != category).to_numpy()
    described = features.described and Queries(
        *(array[stays] for array in vars(features.described).values())
    )
    return replace(
        features,
        categories=features.categories[stays],
        text=features.text[stays],
        imagined=features.imagined[stays],
        accepted=features.accepted[stays],
        described=described,
        gallery=features.gallery[shown],
        gallery_clip=features.gallery_clip[shown],
        gallery_vision=features.gallery_vision[shown],
    )


def _copy(number: int) -> None:
    """The copies of the bundle in the working directory that a run makes."""
    for store in ("mlflow", "bentoml"):
        shutil.copytree(BUNDLE, Path(store) / str(number))
    Path("cache").mkdir(exist_ok=True)
    for file in BUNDLE.iterdir():
        shutil.copyfile(file, Path("cache") / sha256(file))  # DVC keeps equal content once


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
