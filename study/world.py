"""One world of the study: dataset, imagined pictures and features, all from one seed.

The stages of dvc.yaml make every world in a folder of its own, so the study compares what is
shipped. A seed changes the gallery's photos, the imagined pictures and the training. The models of
the zoo and the split of the categories stay the same.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components import config, manifest
from components.datasets import emblems
from components.datasets.dataset import dataset
from components.errors import EidolonError
from components.features.embed import embed
from components.features.encoding import describe, encode
from components.features.features import Features
from components.files import read_json, write_json
from components.images import decoding
from components.imagining import generate, imagine, plan
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.generator import Generator
from components.imagining.recipes import Wanted, wanted
from components.imagining.store import Store
from components.learning.selection import grid
from components.models.fingerprints import fingerprint
from components.models.lazy import LazyClip, LazyVision, lazy_encoders
from components.paths import ACCEPTED
from components.validation.validate import validate
from components.vectors import Array
from study import covering

WORK = Path(".eidolon/study")
COUNTS = (1, 2, 4, 6, 8, 16)  # imagined pictures of a category
STEPS = (1, 2, 4, 8, 16)  # of the sampler
PHOTOS = 24  # real photos of a category that are a query, at most
CEILING = "ceiling"  # the stream of real pictures that are queries
FORMS = (
    "a photo of a {}",
    "a picture of a {}",
    "{}",
    "a {}",
    "an image of a {}",
    "the {}",
)
"""The forms of prompts that the embedded generator was trained on."""

PROMPTS = (
    "a photo of a {}",
    "a picture of a {}",
    "an image of a {}",
    "a {}",
    "the {}",
    "{}",
    "a photo of the {}",
    "a picture of the {}",
    "a photo of one {}",
    "this is a {}",
    "a good photo of a {}",
    "a small {}",
)


@dataclass(frozen=True, eq=False)
class World:
    """``features`` is what the stage `embed` writes, with the texts of :mod:`study.covering` as
    further rows; ``train`` has this world's seed, and ``hubness`` is the correction's temperature.

    ``imagined_clip`` (C, K, d_clip): the accepted pictures through CLIP, zero where there is none.
    ``ensemble`` (C, d_clip): the text vectors by :data:`PROMPTS`.
    ``varied`` and ``unvaried`` (C, K, d_vision): imagined pictures as drawn, the k-th of each by
    the k-th of :data:`FORMS`, or all by the usual prompt.
    ``photos`` (C, :data:`PHOTOS`, d_vision) and ``studio`` (C, K, d_vision): real pictures of each
    category that are nowhere else in the world, in both styles of the emblems; zero for the texts
    of :mod:`study.covering`.
    ``by_count`` and ``by_steps`` hold features of the unseen categories alone: (U, n, d_vision) for
    each n of :data:`COUNTS`, and (U, K, d_vision) for each of :data:`STEPS`.
    """

    seed: int
    train: config.Train
    hubness: float
    features: Features
    imagined_clip: Array
    ensemble: Array
    varied: Array
    unvaried: Array
    photos: Array
    studio: Array
    by_count: dict[int, Array]
    by_steps: dict[int, Array]

    @property
    def weights(self) -> tuple[float, ...]:
        """The fusion weights that are chosen from."""
        return grid(self.train.fusion_weight_step)


def seeded(params: config.Params, seed: int) -> config.Params:
    """``params`` with ``seed`` for everything that is drawn or trained, and with absolute paths of
    models. No category is kept for the gate, so all unseen ones are reported. Categories are asked
    for by name alone."""
    generator, encoders = params.generator, params.encoders
    here = {
        name: str(Path(value).resolve()) if Path(value).is_dir() else value
        for name, value in (
            ("model", generator.model),
            ("clip", encoders.clip),
            ("vision", encoders.vision),
        )
    }
    return params.model_copy(
        update={
            "dataset": params.dataset.model_copy(
                update={"seed": seed, "gate_share": 0.0, "descriptions": None}
            ),
            "generator": generator.model_copy(update={"seed": seed, "model": here.pop("model")}),
            "encoders": encoders.model_copy(update=here),
            "train": params.train.model_copy(update={"seed": seed}),
        }
    )


def make(params: config.Params, seed: int) -> World:
    """The world of ``seed``. Results of an earlier run with the same parameters are used again.

    Raises :class:`EidolonError` for a dataset other than emblems, whose attributes say which
    categories a text covers.
    """
    if params.dataset.adapter != "emblems":
        raise EidolonError(
            "the study compares on the embedded world only: run `eidolon use embedded` first"
        )
    chosen = seeded(params, seed)
    folder = WORK / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        _stages(chosen)
        features = Features.load()
        clip, vision = lazy_encoders(chosen.encoders)
        names = features.categories["category"].tolist()
        unseen = [names[row] for row in features.rows("unseen")]
        ours = chosen.generator
        most = ours.model_copy(update={"images_per_category": max(COUNTS)})
        drawn = _imagined(unseen, most, vision)
        by_steps = {
            steps: _imagined(unseen, ours.model_copy(update={"steps": steps}), vision)
            for steps in STEPS
        }
        unvaried = _imagined([*names, *covering.TEXTS], ours, vision)
        features = covering.extended(
            features,
            describe(clip, covering.TEXTS, chosen.encoders.text_templates),
            unvaried[len(names) :],
        )
        return World(
            seed=seed,
            train=chosen.train,
            hubness=chosen.index.hubness_temperature,
            features=features,
            imagined_clip=_through_clip(features, clip),
            ensemble=describe(clip, features.categories["category"].tolist(), PROMPTS),
            varied=_varied([*names, *covering.TEXTS], ours, vision),
            unvaried=unvaried,
            photos=_real(features, seed, PHOTOS, "photo", vision),
            studio=_real(features, seed, ours.images_per_category, "studio", vision),
            by_count={count: drawn[:, :count] for count in COUNTS},
            by_steps=by_steps,
        )


def seconds_per_picture(params: config.Params, steps: int, repeats: int = 3) -> float:
    """Seconds of the generator with ``steps`` for one picture, in full batches: the best of
    ``repeats``."""
    generator = Generator(params.generator.model_copy(update={"steps": steps}))
    count = params.generator.batch or 16
    prompts, seeds = ["a photo of a red striped star"] * count, list(range(count))
    took = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        generator.draw(prompts, seeds)
        took.append(time.perf_counter() - began)
    return min(took[1:]) / count


def _stages(params: config.Params) -> None:
    """Bring the working directory's stages from `dataset` to `embed` up to date."""
    models = [params.generator.model, params.encoders.clip, params.encoders.vision]
    wanted_now = {
        "models": [fingerprint(model, None) for model in models],
        "params": params.model_dump(
            mode="json", exclude={"train", "index", "evaluate", "gate", "serve"}
        ),
    }
    done = Path("done.json")
    if done.exists() and read_json(done, "delete it") == wanted_now:
        return
    dataset(params.dataset)
    plan.plan(params.generator)
    for shard in params.generator.shards:
        imagine.imagine(shard, params.generator)
    generate.generate(params.generator)
    validate(params)
    embed(params.encoders)
    write_json(done, wanted_now)


def _imagined(names: Sequence[str], params: config.Generator, vision: LazyVision) -> Array:
    """(U, K, d): pictures of ``names`` as ``params`` asks for, unvalidated, through ``vision``."""
    return _encoded(wanted(params, names), params, vision)


def _varied(names: Sequence[str], params: config.Generator, vision: LazyVision) -> Array:
    """As :func:`_imagined`, with a form of :data:`FORMS` for each of a category's pictures."""
    forms = itertools.cycle(FORMS)
    asked = [
        one
        for k, form in zip(range(params.images_per_category), forms, strict=False)
        for one in wanted(params.model_copy(update={"prompt": form}), names)
        if one.k == k
    ]
    return _encoded(asked, params, vision)


def _encoded(asked: Sequence[Wanted], params: config.Generator, vision: LazyVision) -> Array:
    """(U, K, d): the pictures ``asked`` for, in the order of :func:`wanted`, through ``vision``."""
    store = Store()
    at = draw(asked, LazyGenerator(params), store)
    (features,) = encode([store.path(at[w]) for w in asked], "imagined", vision)
    many = params.images_per_category
    return features.reshape(many, len(asked) // many, -1).transpose(1, 0, 2)


def _real(
    features: Features, seed: int, many: int, style: emblems.Style, vision: LazyVision
) -> Array:
    """(C, ``many``, d): pictures of each category in ``style`` that are in no other part of the
    world, through ``vision``."""
    known = np.flatnonzero(features.categories["split"] != covering.SPLIT)
    kinds = [emblems.Emblem.parse(features.categories["category"].iloc[row]) for row in known]
    pictures = (
        emblems.draw(kind, seed=seed, subset=CEILING, index=k, style=style)
        for kind in kinds
        for k in range(many)
    )
    found = np.concatenate(
        [vision.images(batch) for batch in decoding.grouped(pictures, vision.batch)]
    )
    grid = np.zeros((len(features.text), many, found.shape[1]), dtype=np.float32)
    grid[known] = found.reshape(len(known), many, -1)
    return grid


def _through_clip(features: Features, clip: LazyClip) -> Array:
    """(C, K, d_clip), in the order of ``features.imagined``."""
    frame = manifest.read(ACCEPTED, manifest.ACCEPTED_COLUMNS, "make ablation")
    order = {name: i for i, name in enumerate(features.categories["category"])}
    (vectors,) = encode([ACCEPTED / path for path in frame["path"]], "accepted", clip)
    grid = np.zeros((*features.accepted.shape, vectors.shape[1]), dtype=np.float32)
    place = frame.groupby("category").cumcount()
    grid[frame["category"].map(order), place] = vectors
    return grid
