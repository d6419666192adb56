"""`make ablation`: run the study on several seeds and write docs/results.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from scipy import stats

from components import config, tables
from components.errors import EidolonError, one_sentence
from components.index.gallery import top
from components.learning.analysis import GROUPS
from components.learning.metrics import average_precisions, mean_average_precision
from components.vectors import Array
from study import banks, covering, methods, networks, report, sweeps
from study.ranking import (
    Method,
    Pictures,
    Ranking,
    gallery_pictures,
    validation_alone,
    validation_map,
)
from study.world import STEPS, WORK, World, make, seconds_per_picture


def maps(world: World, ranking: Ranking) -> dict[str, float]:
    """The figures by which a method is chosen, and those that are reported.

    Choices are made by ``chosen_by`` and ``chosen_alone``: mAP of the validation categories over
    all training pictures, and over their own alone. Reported are the mAP of each group of
    categories over the whole gallery, ``unseen_only`` over the unseen categories' pictures, and
    ``harmonic`` of seen and unseen.

    ``covering`` is the mAP of texts that cover several categories. Their first results are counted,
    as many as there are right pictures: ``covering_seen`` is the share of seen categories among the
    right ones there, and ``covering_truth`` is that share among all right pictures.
    """
    features, on = world.features, gallery_pictures(world.features)
    scores, unseen = ranking(on), features.rows("unseen")
    found = average_precisions(scores, on.labels == np.arange(len(scores))[:, None])
    groups = {
        group: float(found[np.concatenate([features.rows(s) for s in splits])].mean())
        for group, splits in GROUPS.items()
    }
    only = np.isin(on.labels, unseen)
    among = average_precisions(scores[unseen][:, only], on.labels[only] == unseen[:, None])
    return {
        **groups,
        "unseen_only": float(among.mean()),
        "harmonic": float(stats.hmean([groups["seen"], groups["unseen"]])),
        "chosen_by": validation_map(world, ranking),
        "chosen_alone": validation_alone(world, ranking),
        **broad(world, on, scores),
    }


def broad(world: World, on: Pictures, scores: Array) -> dict[str, float]:
    """The figures of :func:`maps` for the texts that cover several categories."""
    features = world.features
    rows = features.rows(covering.SPLIT)
    if not rows.size:
        return {}
    right = covering.covers(features)[:, on.labels]
    seen = np.isin(on.labels, features.rows("train"))
    hits = np.zeros_like(right)
    for hit, truth, of in zip(hits, right, scores[rows], strict=True):
        hit[top(of, int(truth.sum()))] = True
    hits &= right
    return {
        "covering": mean_average_precision(scores[rows], right),
        "covering_seen": float(hits[:, seen].sum() / hits.sum()),
        "covering_truth": float(right[:, seen].sum() / right.sum()),
    }


def compare(world: World) -> Iterator[dict[str, Any]]:
    """A row (seed, method, and :func:`maps`) for each method, bank and control."""
    rankings: dict[Method, Ranking] = {}

    def fitted(chosen: Mapping[str, Method]) -> Iterator[dict[str, Any]]:
        for name, method in chosen.items():
            if method not in rankings:
                rankings[method] = method(world)
            yield {"method": name} | maps(world, rankings[method])

    yield from fitted(methods.ALL)
    for name in methods.CONTROLLED:
        shifted = banks.offset(world, rankings[methods.ALL[name]])
        yield {"method": f"{name}{methods.SHIFTED}"} | maps(world, shifted)
    for name, bank in banks.BANKS.items():
        ranking, difference = banks.choose(world, bank)
        yield {"method": name, "difference": difference} | maps(world, ranking)


def study(seeds: int) -> None:
    """Run every method in every world. Raises :class:`EidolonError` for too few seeds."""
    if seeds < 2:
        raise EidolonError(f"an interval needs at least 2 seeds, not {seeds}")
    params = config.load()
    rows, points = [], []
    for seed in range(seeds):
        world = make(params, seed)
        for row in compare(world):
            rows.append({"seed": seed} | row)
            print(f"seed {seed}: {row['method']}: {row['unseen']:.4f}", flush=True)
        model = networks.shipped(world)
        for what, swept in (
            ("pictures", sweeps.counts(world, model)),
            ("steps", sweeps.steps(world, model)),
        ):
            points += [
                {"seed": seed, "what": what, "value": value, "unseen": swept[value]}
                for value in swept
            ]
    seconds = {steps: seconds_per_picture(params, steps) for steps in STEPS}
    frame, sweep = pd.DataFrame(rows), pd.DataFrame(points)
    WORK.mkdir(parents=True, exist_ok=True)
    tables.write(WORK / "methods.csv", frame)
    tables.write(WORK / "sweeps.csv", sweep)
    (WORK / "seconds.json").write_text(json.dumps(seconds))
    report.write(params, frame, sweep, seconds)


def main(
    seeds: Annotated[int, typer.Option(help="worlds: gallery, pictures and training of each")] = 5,
) -> None:
    """Compare baselines, the paper's aggregator, each idea, and the default (docs/results.md)."""
    with one_sentence():
        study(seeds)


if __name__ == "__main__":
    typer.run(main)
