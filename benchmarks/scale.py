"""What each stage costs for very many pictures: `python -m benchmarks.scale --rows N`.

A folder of tiny pictures is made, and goes through the stages whose cost depends on their number,
each in a process of its own. Then one more category of seven pictures is added, and they go through
the stages again. The features are made too and put into the store, so that `embed` finds them
there. Drawing and validation are left out: they cost what the categories cost. It needs the outputs
of `make run`.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.made import near
from benchmarks.stages import Figures, alone, say
from components import config, manifest, tables
from components.errors import EidolonError, one_sentence
from components.features.encoding import Encoding
from components.features.store import FeatureStore, keys
from components.files import write_json
from components.models.lazy import lazy_encoders
from components.paths import ACCEPTED, AGGREGATOR, BUNDLE, CONFIDENCE, DATASET, LOCK, VALIDATION
from components.progress import track
from components.vectors import Array, normalized

IMAGINED, EPOCHS, QUERIES = 4, 2, 20
ADDED = 7
_SIDE, _GRID = 16, 4  # pixels of a picture, and of the noise that it is made of
_NOISE = {"clip": 1.5, "vision": 6.0}
_AT_ONCE = 2**14
_TITLE = "seconds (of processor), and peak MiB without mapped files"


def pictures(rows: int, categories: Sequence[str], seed: int) -> None:
    """Add ``rows`` tiny pictures to the owner's folder, shared out among the ``categories``."""
    rng = np.random.default_rng(seed)
    folders = [Path("photos", name) for name in categories]
    for folder in folders:
        folder.mkdir(parents=True)
    for row in track(range(rows), "make pictures", "pictures"):
        noise = Image.fromarray(rng.integers(0, 256, (_GRID, _GRID, 3), np.uint8))
        place = folders[row % len(folders)] / f"{row:07}.png"
        noise.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(place, compress_level=1)


def store() -> None:
    """Imagine pictures of each category, and put the features of all pictures into the store."""
    params = config.load()
    known = manifest.read(DATASET, manifest.DATASET_COLUMNS, "")
    names = known["category"].unique().tolist()
    drawn = _imagined(names)
    encoders, rng = lazy_encoders(params.encoders), np.random.default_rng(1)
    widths = {e.kind: e.images([Image.new("RGB", (_SIDE, _SIDE))]).shape[1] for e in encoders}
    centres = {
        kind: normalized(rng.standard_normal((len(names), width))).astype(np.float32)
        for kind, width in widths.items()
    }
    for subset, rows in known.groupby("subset"):
        _fill(DATASET, rows, str(subset), encoders, centres, names, reduced=True)
    _fill(ACCEPTED, drawn, "imagined", encoders[1:], centres, names, reduced=False)


def _imagined(names: Sequence[str]) -> pd.DataFrame:
    """Pictures of each category, as `validate` would accept them, and what it would write."""
    rows, rng = [], np.random.default_rng(2)
    for name in names:
        for k in range(IMAGINED):
            path = ACCEPTED / f"{name}/{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            rows.append((f"{name}/{k}.png", name, name, k, "made", digest, digest, "class", 0))
    frame = pd.DataFrame(rows, columns=[*manifest.ACCEPTED_COLUMNS])
    manifest.write(ACCEPTED, frame)
    VALIDATION.mkdir(parents=True, exist_ok=True)
    tables.write(VALIDATION / "measurements.csv", frame[["address"]].assign(agreement=3.0))
    write_json(VALIDATION / "report.json", {})
    return frame


def _fill(
    folder: Path,
    rows: pd.DataFrame,
    what: str,
    encoders: Iterable[Any],
    centres: Mapping[str, Array],
    names: Sequence[str],
    *,
    reduced: bool,
) -> None:
    """Store vectors around the centre of each picture's category."""
    rng, of = np.random.default_rng(3), pd.Index(names).get_indexer(pd.Index(rows["category"]))
    of_rows = keys(rows["sha256"].to_numpy())
    files = [folder / path for path in rows["path"]]
    work = Encoding(files, of_rows, what, list(encoders), FeatureStore(), reduced=reduced)
    for encoder, shelf in zip(encoders, work.shelves, strict=True):
        lacking = np.flatnonzero(~shelf.has(of_rows))
        for first in range(0, len(lacking), _AT_ONCE):
            some = lacking[first : first + _AT_ONCE]
            found = near(centres[encoder.kind][of[some]], _NOISE[encoder.kind], rng)
            shelf.add(of_rows[some], found)
        shelf.flush()


def dataset() -> None:
    """The stage."""
    from components.datasets.dataset import dataset

    print(f"{len(dataset(config.load().dataset)):,} pictures in the dataset")


def inspect() -> None:
    """The check of the dataset, without an earlier one."""
    from components.validation.inspection import inspect

    inspect(config.load().inspect, None)


def embed() -> None:
    """The stage."""
    from components.features.embed import embed

    embed(config.load().encoders)


def train() -> None:
    """The stage, for two epochs."""
    from components.learning.train import train

    train(config.load().train.model_copy(update={"epochs": EPOCHS}))


def evaluate() -> None:
    """The stage."""
    from components.learning.evaluate import evaluate

    found = evaluate(config.load())
    print({kind: groups["unseen"]["mean"] for kind, groups in found["map"].items()})


def bundle() -> None:
    """The stage."""
    from components.serving.bundle import bundle

    bundle(config.load())


def serve() -> None:
    """Loading the bundle as the service does, and ranking for some categories."""
    from components.serving.loading import load
    from components.serving.retriever import How, Retriever

    began = time.perf_counter()
    retriever = Retriever(load(BUNDLE), config.load().encoders)
    loaded, found = time.perf_counter(), retriever.bundle
    for row in range(QUERIES):
        asked = retriever.ask(found.categories["category"][row])
        retriever.rank(asked, found.aggregated[row], How())
    each = (time.perf_counter() - loaded) / QUERIES
    print(f"loaded in {loaded - began:.1f} s, {1000 * each:.1f} ms for each query")


STAGES: Mapping[str, Callable[[], None]] = {
    work.__name__: work for work in (dataset, store, inspect, embed, train, evaluate, bundle, serve)
}


def main(
    rows: Annotated[str, typer.Option(help="numbers of pictures, with commas")] = "2000,20000",
    categories: Annotated[int, typer.Option(help="of the pictures", min=30)] = 1000,
) -> None:
    """Print the seconds and the peak memory of each stage for each number of pictures."""
    if not (CONFIDENCE / "confidence.json").is_file():
        raise EidolonError("there is no confidence yet: run `make run`")
    counts = [int(count) for count in rows.split(",")]
    found = {count: _all(count, categories) for count in counts}
    for which, what in enumerate(("from nothing", "one category more")):
        table = Table("stage", title=f"{what}: {_TITLE}")
        for count in counts:
            table.add_column(f"{count:,}", justify="right")
        table.add_column("growth", justify="right")
        for name in STAGES:
            figures = [found[count][which][name] for count in counts]
            cells = [
                f"{one['seconds']:.1f} ({one['cpu']:.1f}) s; {one['anonymous']}" for one in figures
            ]
            growth = figures[-1]["seconds"] / max(figures[0]["seconds"], 0.1)
            table.add_row(name, *cells, f"{growth:.1f}")
        Console(width=100).print(table)


def _all(rows: int, categories: int) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """The figures of each stage for a made folder of ``rows`` pictures, and those with one more
    category."""
    root = Path.cwd()
    values = yaml.safe_load(config.PARAMS.read_text())
    values["dataset"] |= {"adapter": "folder", "source": "photos", "descriptions": None}
    values["dataset"] |= {"gallery_per_category": 0.5, "training_per_category": 0.5}
    with tempfile.TemporaryDirectory(dir=root) as place, chdir(place):
        Path(config.PARAMS).write_text(yaml.safe_dump(values))
        shutil.copy(root / LOCK, LOCK)
        Path("zoo").symlink_to(root / "zoo")  # the models
        CONFIDENCE.mkdir(parents=True)
        shutil.copy(root / CONFIDENCE / "confidence.json", CONFIDENCE)
        AGGREGATOR.parent.mkdir(exist_ok=True)
        pictures(rows, [f"category {number:05}" for number in range(categories)], seed=0)
        first = {name: _alone(name) for name in STAGES}
        pictures(ADDED, ["category added"], seed=1)
        return first, {name: _alone(name) for name in STAGES}


def _alone(stage: str) -> Figures:
    figures = alone(f"from benchmarks.scale import one; one({stage!r})")
    print(f"{stage}: {figures['seconds']} s", flush=True)
    return figures


def one(stage: str) -> None:
    """Run a stage in this process, and print its figures."""
    say(STAGES[stage])


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
