"""What the gate catches, and what that is worth: `python -m benchmarks.validation`.

First, bad pictures of known kinds are planted among those that `make run` imagined. Then 10 % of
the imagined pictures are replaced by pictures of other categories, and mAP is compared: without
wrong pictures, with the gate (it finds wrong pictures and draws them again), and without the gate.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.planted import KINDS, Planted, plant
from components import config, manifest
from components.errors import one_sentence
from components.features.features import Features
from components.imagining.drawing import LazyGenerator
from components.imagining.store import Store
from components.index.gallery import Gallery
from components.learning.metrics import mean_average_precision
from components.paths import IMAGINED
from components.validation.judge import judge
from components.validation.likeness import Likeness
from components.validation.measure import Measured, Meter
from components.validation.regeneration import regenerate
from components.vectors import Array, normalized

COUNT = 60  # planted of each kind
SHARE = 0.1  # of wrong pictures in the experiment
WEIGHT = 0.5  # λ of the experiment, near the best for a plain mean


def gate(
    measured: Measured, meter: Meter, params: config.Params, folder: Path, count: int, seed: int = 0
) -> pd.DataFrame:
    """Plant ``count`` pictures of each kind: ``recall``, ``precision`` and ``rejected`` for each.

    ``rejected`` is the share of the pictures not planted that the gate rejects, which includes the
    generator's own mistakes. The last row, ``all``, plants all kinds at once, an eighth of all
    pictures together. A planted copy is caught when either picture of the pair is rejected.
    """
    rng = np.random.default_rng(seed)
    rows = []
    together = len(measured.rows) // 8 // len(KINDS)  # an eighth of all pictures
    for name, kinds, many in (*((k, [k], count) for k in KINDS), ("all", [*KINDS], together)):
        places = rng.permutation(len(measured.rows))[: len(kinds) * many]
        spared = np.ones(len(measured.rows), dtype=bool)
        spared[places] = False
        planted: list[Planted] = []
        world = measured
        for kind, at in zip(kinds, places.reshape(len(kinds), many), strict=True):
            planted.append(plant(kind, world, meter, folder / name / kind, at, spared, rng))
            world = planted[-1].measured
        rows.append((name, *_rates(planted, params)))
    return pd.DataFrame(rows, columns=["kind", "recall", "precision", "rejected"])


def _rates(planted: list[Planted], params: config.Params) -> tuple[float, float, float]:
    size, measured = params.generator.size, planted[-1].measured
    judged = judge(measured, params.validation, size, Likeness())
    out = (judged["reason"] != "").to_numpy()
    at = np.concatenate([p.at for p in planted])
    sources = np.concatenate([p.sources for p in planted])
    caught = out[at] | out[sources]
    others = np.ones(len(out), dtype=bool)
    others[at] = others[sources] = False
    false = int(out[others].sum())
    hits = int(caught.sum())
    return hits / len(at), hits / (hits + false), false / int(others.sum())


@dataclass(frozen=True)
class World:
    """The gallery and the queries: ``text`` (C, d) of ``categories``, and ``positive`` (C, N)."""

    categories: pd.Index
    text: Array
    gallery: Gallery
    positive: npt.NDArray[np.bool_]

    def maps(self, names: pd.Series, kept: npt.NDArray[np.bool_], vision: Array) -> pd.Series:
        """mAP of the mean of each category's ``kept`` pictures, alone and fused with the text at λ
        = :data:`WEIGHT`. ``names`` and ``vision`` (N, d) are the pictures' categories and features.
        """
        row = self.categories.get_indexer(pd.Index(names))
        image = np.zeros((len(self.categories), vision.shape[1]), dtype=np.float32)
        np.add.at(image, row[kept], vision[kept])
        scores = self.gallery.score(self.text, normalized(image), WEIGHT)
        return pd.Series(
            {
                "fused": mean_average_precision(scores.fused, self.positive),
                "imagined alone": mean_average_precision(scores.image, self.positive),
            }
        )


def experiment(
    world: World,
    measured: Measured,
    meter: Meter,
    params: config.Params,
    folder: Path,
    kind: str = "another category",
    whole: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """mAP without wrong pictures (`clean`), with the gate (`gate on`) and without (`gate off`).

    :data:`SHARE` of the imagined pictures are of ``kind``. With ``whole`` they are all the pictures
    of that share of the categories.
    """
    rng = np.random.default_rng(seed)
    names = measured.rows["category"]
    if whole:
        chosen = rng.permutation(names.unique())[: round(SHARE * names.nunique())]
        at = np.flatnonzero(names.isin(chosen))
    else:
        at = rng.choice(len(names), size=round(SHARE * len(names)), replace=False)
    spared = ~np.isin(np.arange(len(names)), at)
    wrong = plant(kind, measured, meter, folder, at, spared, rng).measured
    model, store = LazyGenerator(params.generator), Store(folder / "store")
    healed = regenerate(wrong, params.validation, model, meter, store, Likeness())
    everything = np.ones(len(names), dtype=bool)
    fine = (healed.last["reason"] == "").to_numpy()
    return pd.DataFrame(
        {
            "clean": world.maps(names, everything, measured.vision),
            "gate on": world.maps(names, fine, healed.measured.vision),
            "gate off": world.maps(names, everything, wrong.vision),
        }
    )


def main() -> None:
    """Measure what the gate catches, and what wrong pictures cost (docs/validation.md)."""
    params, console = config.load(), Console()
    frame = manifest.read(IMAGINED, manifest.IMAGINED_COLUMNS, "make run").assign(attempt=0)
    features = Features.load()
    names = pd.Index(features.categories["category"])
    world = World(
        categories=names,
        text=features.text,
        gallery=Gallery(features.gallery_clip, features.gallery_vision),
        positive=features.labels(features.gallery)[None, :] == np.arange(len(names))[:, None],
    )
    meter = Meter(params.encoders, names.tolist())
    measured = meter.measure([IMAGINED / p for p in frame["path"]], frame)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _show(console, f"planted, {COUNT} of a kind", gate(measured, meter, params, folder, COUNT))
        for title, kind, whole in (
            ("of random other categories", "another category", False),
            ("one attribute off", "one attribute off", False),
            ("all pictures of 10 % of the categories", "another category", True),
        ):
            found = experiment(world, measured, meter, params, folder, kind, whole=whole)
            _show(console, f"mAP, 10 % wrong: {title}", found.rename_axis("by").reset_index())


def _show(console: Console, title: str, frame: pd.DataFrame) -> None:
    table = Table(title=title)
    for column in frame.columns:
        table.add_column(column)
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row))
    console.print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
