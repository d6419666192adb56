"""Seconds and memory of the stages that score categories: `python -m benchmarks.memory_stages`.

The features are made (benchmarks/made.py), and each stage runs in a process of its own. `calibrate`
is measured without imagining: its texts are the names of the categories.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import made
from benchmarks.stages import alone, measured, say
from components import config

EPOCHS = 2
_ONE = "from benchmarks.memory_stages import one; one({!r}, {!r}, {!r})"
AGGREGATOR = "aggregator.safetensors"


def train(features: Path, out: Path, params: config.Params) -> None:
    """The stage, for two epochs."""
    from components.learning.train import train

    train(params.train.model_copy(update={"epochs": EPOCHS}), features, out)


def evaluate(features: Path, out: Path, params: config.Params) -> None:
    """The stage without the pictures that it shows."""
    from components.features.features import Features
    from components.learning import plots
    from components.learning.aggregator import Aggregator
    from components.learning.analysis import reported
    from components.learning.evaluate import measure

    found = Features.load(features)
    measured = measure(found, Aggregator.load(out / AGGREGATOR), params)
    plots.modality_gap(reported(found), measured.modality_gap, out / "gap.png")
    print(measured.tables["per_category"][["text", "image", "fused"]].mean().round(3).to_dict())


def calibrate(features: Path, out: Path, params: config.Params) -> None:
    """Measuring the features of the categories' names, with their pictures and without."""
    from components.confidence.calibrate import Asked, table, world
    from components.confidence.texts import Text
    from components.features.features import Features
    from components.learning.aggregator import Aggregator, aggregate

    found = Features.load(features)
    aggregated = aggregate(Aggregator.load(out / AGGREGATOR), found)
    names = [Text("known", name, (row,)) for row, name in enumerate(found.categories["category"])]
    asked = map(Asked, names, found.text, aggregated)
    table(world(found, aggregated, found.rows("gate")), list(asked))


def index(features: Path, out: Path, params: config.Params) -> None:
    """Building the index, as `bundle` does."""
    from components.features.features import Features
    from components.index.build import build_index
    from components.learning.aggregator import Aggregator, aggregate

    found = Features.load(features)
    aggregated = aggregate(Aggregator.load(out / AGGREGATOR), found)
    build_index(found, aggregated, params.index.hubness_temperature)


def judge(features: Path, out: Path, params: config.Params) -> None:
    """Scoring one version on all categories."""
    from components.features.features import Features
    from components.learning.aggregator import Aggregator
    from components.lifecycle.contenders import score

    found = Features.load(features)
    model = Aggregator.load(out / AGGREGATOR)
    rows = np.arange(len(found.categories))
    score(found, model, params.index.hubness_temperature, rows)


STAGES: Mapping[str, Callable[[Path, Path, config.Params], None]] = {
    work.__name__: work for work in (train, evaluate, calibrate, index, judge)
}


def main(
    galleries: Annotated[list[int], typer.Argument(help="pictures of the gallery, in this order")],
    categories: Annotated[int, typer.Option(help="of the pictures")] = 1000,
    training: Annotated[int, typer.Option(help="training pictures; 0 for as many")] = 0,
    dim: Annotated[int, typer.Option(help="numbers of a picture in each space")] = 64,
    stage: Annotated[list[str] | None, typer.Option(help="only these; `train` comes first")] = None,
) -> None:
    """Print seconds and peak memory of each stage for each of GALLERIES."""
    found: dict[str, list[dict[str, Any]]] = {}
    for gallery in galleries:
        with tempfile.TemporaryDirectory(dir=".") as place:
            features, out = Path(place, "features"), Path(place, "out")
            features.mkdir()
            out.mkdir()
            rows = training or gallery
            making = partial(made.features, features, categories, gallery, rows, dim=dim)
            one = measured(making)
            found.setdefault("make", []).append(one)
            for name in stage or STAGES:
                found.setdefault(name, []).append(alone(_ONE.format(name, str(features), str(out))))
                print(gallery, name, found[name][-1], flush=True)
    Console().print(_table(found, galleries))


def one(name: str, features: str, out: str) -> None:
    """Run a stage in this process, and print its figures."""
    params = config.load()
    say(lambda: STAGES[name](Path(features), Path(out), params))


def _table(found: Mapping[str, list[dict[str, Any]]], galleries: list[int]) -> Table:
    """Others may use the processors meanwhile, so growth is of the time that a stage used them."""
    table = Table("stage", title="seconds (of processor); peak MiB with mapped files / without")
    for gallery in galleries:
        table.add_column(f"{gallery:,}", justify="right")
    table.add_column("growth", justify="right")
    for name, figures in found.items():
        cells = [
            f"{one['seconds']} ({one['cpu']}) s; {one['rss']} / {one['anonymous']}"
            for one in figures
        ]
        growth = figures[-1]["cpu"] / max(figures[0]["cpu"], 0.1)
        table.add_row(name, *cells, f"{growth:.1f}")
    return table


if __name__ == "__main__":
    typer.run(main)
