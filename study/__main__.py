"""`make ablation`: run the study on several seeds and write docs/results.md."""

from __future__ import annotations

import json
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from components import config
from components.errors import EidolonError, one_sentence
from components.retrieval.evaluate import GROUPS
from components.retrieval.metrics import average_precisions
from study import methods, report, sweeps
from study.methods import Method, Pictures, Ranking
from study.world import STEPS, WORK, World, make, seconds_per_picture


def maps(world: World, ranking: Ranking) -> dict[str, float]:
    """mAP of each group of categories over the whole gallery, and as ``chosen_by`` that of the
    validation categories over the training pictures."""
    features = world.features
    scores = ranking(Pictures(features.gallery_clip, features.gallery_vision))
    labels = features.labels(features.gallery)
    found = average_precisions(scores, labels[None, :] == np.arange(len(scores))[:, None])
    return {
        group: float(found[np.concatenate([features.rows(s) for s in splits])].mean())
        for group, splits in GROUPS.items()
    } | {"chosen_by": methods.validation_map(world, ranking)}


def study(seeds: int) -> None:
    """Run every method in every world. Raises :class:`EidolonError` for too few seeds."""
    if seeds < 2:
        raise EidolonError(f"an interval needs at least 2 seeds, not {seeds}")
    params = config.load()
    rows, points = [], []
    for seed in range(seeds):
        world = make(params, seed)
        found: dict[Method, dict[str, float]] = {}
        for name, method in methods.ALL.items():
            if method not in found:
                found[method] = maps(world, method(world))
            rows.append({"seed": seed, "method": name} | found[method])
            print(f"seed {seed}: {name}: {rows[-1]['unseen']:.4f}", flush=True)
        model = methods.shipped(world)
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
    frame.to_csv(WORK / "methods.csv", index=False)
    sweep.to_csv(WORK / "sweeps.csv", index=False)
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
