"""How often the gate is right: `python -m benchmarks.gate` simulates it and prints two tables.

The spreads are real: two aggregators that differ in the seed of their training alone are scored on
the features that `make run` left. How far their average precision is apart, category by category,
is how far two equal versions are apart. A simulated dataset draws categories with replacement, and
a simulated version is the real one, plus what it truly is better or worse by, plus this spread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from components import config
from components.datasets.emblems import Emblem, draw
from components.errors import EidolonError, one_sentence
from components.features.features import Features
from components.learning.aggregator import Aggregator
from components.learning.train import train
from components.lifecycle.contenders import score
from components.lifecycle.gate import Deciding, Floats, Precisions, Rival, decide
from components.models.encoders import load_encoders
from components.paths import AGGREGATOR, FEATURES

GROWN = 24  # gallery pictures of a category after it grew
STEPS = 5  # promotions in a row
Rng = np.random.Generator


@dataclass(frozen=True)
class Spread:
    """The average precision of a real version on C categories, ``real``, and how far another
    training moved it, ``moved`` (C, 2), less its mean. ``new`` (C,) as in Deciding."""

    real: Precisions
    moved: Floats
    new: np.ndarray

    def drawn(self, rng: Rng) -> Spread:
        """As many seen and new categories, drawn with replacement."""
        groups = (np.flatnonzero(self.new == kind) for kind in (False, True))
        rows = np.concatenate([rng.choice(group, group.size) for group in groups])
        real = Precisions(self.real.fused[rows], self.real.text[rows])
        return Spread(real, self.moved[rows], self.new[rows])

    def version(self, truly: Floats | float, rng: Rng, factor: float = 1.0) -> Precisions:
        """A version that is better than the real one by ``truly``. Two of them are as far apart as
        the real ones, times ``factor``."""
        sign = rng.choice((-1.0, 1.0), size=(len(self.moved), 1))
        fused = self.real.fused + truly + factor * sign * self.moved / np.sqrt(2)
        return Precisions(fused, self.real.text)


def measured(features: Features, models: list[Aggregator], temperature: float) -> Spread:
    """The spread of two aggregators on the categories that decide."""
    split = features.categories["split"]
    rows = np.flatnonzero(split.isin(["train", "gate"]))
    one, other = (score(features, model, temperature, rows) for model in models)
    new = (split == "gate").to_numpy()[rows]
    moved = other.fused - one.fused
    for group in (new, ~new):
        moved[group] -= moved[group].mean(axis=0)
    return Spread(one, moved, new)


def grown(features: Features, params: config.Params) -> Features:
    """``features`` with further photos in the gallery, up to :data:`GROWN` of each category."""
    have = params.dataset.numbers()[0]
    added = pd.DataFrame(
        [(name, i) for name in features.categories["category"] for i in range(have, GROWN)],
        columns=["category", "index"],
    )
    images = [
        draw(Emblem.parse(name), seed=params.dataset.seed, subset="gallery", index=i)
        for name, i in zip(added["category"], added["index"], strict=True)
    ]
    clip, vision = load_encoders(params.encoders)
    gallery = [features.gallery, added.assign(path="")[["path", "category"]]]
    return replace(
        features,
        gallery=pd.concat(gallery, ignore_index=True),
        gallery_clip=np.concatenate([features.gallery_clip, clip.images(images)]),
        gallery_vision=np.concatenate([features.gallery_vision, vision.images(images)]),
    )


def passes(
    spread: Spread, truly: float, params: config.Params, pairs: int, factor: float = 1.0
) -> float:
    """The share of ``pairs`` challengers, better than their champions by ``truly``, that pass."""
    rng, passed = np.random.default_rng(0), 0
    for _ in range(pairs):
        world = spread.drawn(rng)
        champion = Rival("the champion", world.version(0.0, rng, factor))
        challenger = world.version(truly, rng, factor)
        passed += decide(_deciding(world), challenger, champion, None, params).passed
    return passed / pairs


def chain(
    spread: Spread, step: float, params: config.Params, runs: int, *, ratchet: bool
) -> Floats:
    """What the champion has gained in truth after :data:`STEPS` challengers, each better by
    ``step`` than the champion that it meets, and how many of them passed: (2, runs). With
    ``ratchet`` the best version so far counts too, as it does in the gate."""
    rng, found = np.random.default_rng(0), np.zeros((2, runs))
    for run in range(runs):
        world = spread.drawn(rng)
        champion = best = world.version(0.0, rng)
        for _ in range(STEPS):
            truly = found[0, run] + step
            challenger = world.version(truly, rng)
            rivals = [Rival("the champion", champion), Rival("the best", best)]
            against = rivals[1] if ratchet and best is not champion else None
            decision = decide(_deciding(world), challenger, rivals[0], against, params)
            if decision.passed:
                found[:, run], champion = (truly, found[1, run] + 1), challenger
                best = challenger if decision.leads else best
    return found


def _deciding(world: Spread) -> Deciding:
    return Deciding(world.new, np.zeros(len(world.new), dtype=bool))


def _rows(
    spread: Spread, more: Spread, params: config.Params, pairs: int
) -> Iterator[tuple[str, float]]:
    """What is simulated, and the share that passes."""
    margin = params.gate.margin
    yield "equal", passes(spread, 0.0, params, pairs)
    yield f"equal, gallery of {GROWN} a category", passes(more, 0.0, params, pairs)
    for size in (margin, 2 * margin, 0.02):
        yield f"truly worse by {size:g}", passes(spread, -size, params, pairs)
    for size in (margin, 0.02):
        yield f"truly better by {size:g}", passes(spread, size, params, pairs)
    for factor in (2.0, 4.0):
        for truly in (0.0, -0.02, 0.02):
            share = passes(spread, truly, params, pairs, factor)
            yield f"spread x {factor:g}: {truly:+g}", share


def main(
    pairs: Annotated[int, typer.Option(help="simulated challengers in each row")] = 1000,
) -> None:
    """Simulate the gate with the spreads of the embedded world (docs/promotion.md)."""
    params = config.load()
    if params.dataset.adapter != "emblems" or not FEATURES.is_dir():
        raise EidolonError("the gate is simulated on the embedded world: run `make run`")
    features, temperature = Features.load(), params.index.hubness_temperature
    with tempfile.TemporaryDirectory() as folder:
        other = params.train.model_copy(update={"seed": params.train.seed + 1})
        train(other, out=Path(folder) / "other")
        folders = (AGGREGATOR, Path(folder) / "other")
        models = [Aggregator.load(place / "aggregator.safetensors") for place in folders]
    spread = measured(features, models, temperature)
    more = measured(grown(features, params), models, temperature)
    console = Console(width=110)
    for name, one in (("this gallery", spread), (f"{GROWN} a category", more)):
        console.print(
            f"{name}: mAP {one.real.fused[~one.new].mean():.4f} seen,"
            f" {one.real.fused[one.new].mean():.4f} new; spread of a category"
            f" {one.moved.mean(axis=1).std():.4f}"
        )
    table = Table("challenger", "passes", title=f"{pairs} pairs, margin {params.gate.margin:g}")
    for what, share in _rows(spread, more, params, pairs):
        table.add_row(what, f"{share:.1%}")
    console.print(table)
    heads = ("each is", "best so far", "promoted", "gained, mean", "worst 5 %")
    table = Table(*heads, title=f"{STEPS} in a row")
    for step in (0.0, -0.001, -0.002):
        for ratchet in (True, False):
            gained, passed = chain(spread, step, params, pairs // STEPS, ratchet=ratchet)
            low = np.quantile(gained, 0.05)
            rule = "counts" if ratchet else "does not count"
            figures = (f"{passed.mean():.1f}", f"{gained.mean():+.4f}", f"{low:+.4f}")
            table.add_row(f"{step:+g}", rule, *figures)
    console.print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
