"""Planted wrong pictures: validation catches them and undoes what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.planted import KINDS
from benchmarks.validation import World, experiment, gate
from components import config
from components.datasets.emblems import draw, emblems
from components.features.store import FeatureStore
from components.files import sha256
from components.imagining.drawing import LazyGenerator
from components.imagining.drawing import draw as imagine
from components.imagining.recipes import wanted
from components.imagining.store import Store
from components.index.gallery import Gallery
from components.models.encoders import ClipEncoder, VisionEncoder
from components.validation.measure import Measured, Meter
from tests import toy
from tests.validating import chosen

pytestmark = pytest.mark.numeric


PHOTOS = 6  # of each category in the gallery


@dataclass(frozen=True)
class Zoo:
    """Some of the embedded world's categories, imagined by the shipped models. The seed is not the
    one of the pictures that the limits were set on."""

    params: config.Params
    meter: Meter
    measured: Measured
    world: World


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    params = config.load(toy.ROOT / "profiles" / "embedded.yaml")
    generator, encoders = params.generator, params.encoders
    params = params.model_copy(
        update={
            "generator": generator.model_copy(
                update={"model": str(toy.ROOT / generator.model), "seed": 1}
            ),
            "encoders": encoders.model_copy(
                update={
                    "clip": str(toy.ROOT / encoders.clip),
                    "vision": str(toy.ROOT / encoders.vision),
                }
            ),
        }
    )
    names = [c.name for c in chosen()]
    store = Store(tmp_path_factory.mktemp("store"))
    jobs = wanted(params.generator, names)
    addresses = imagine(jobs, LazyGenerator(params.generator), store)
    files = [store.path(addresses[w]) for w in jobs]
    frame = pd.DataFrame(
        {
            "path": [w.path for w in jobs],
            "category": [w.category for w in jobs],
            "prompt": [w.prompt for w in jobs],
            "seed": [w.seed for w in jobs],
            "model": "generator",
            "sha256": [sha256(file) for file in files],
            "address": [addresses[w] for w in jobs],
            "kind": "class",
            "attempt": 0,
        }
    )
    features = FeatureStore(tmp_path_factory.mktemp("features"))
    meter = Meter(params.encoders, [c.name for c in emblems()], features)
    photos = [
        draw(c, seed=99, subset="validation", index=i) for c in chosen() for i in range(PHOTOS)
    ]
    clip = ClipEncoder(params.encoders.clip)
    world = World(
        categories=pd.Index(names),
        text=clip.describe(names, params.encoders.text_templates),
        gallery=Gallery(clip.images(photos), VisionEncoder(params.encoders.vision).images(photos)),
        positive=np.repeat(np.eye(len(names), dtype=bool), PHOTOS, axis=1),
    )
    return Zoo(params, meter, meter.measure(files, frame), world)


@pytest.mark.slow
def test_planted_pictures_of_every_kind_are_caught(zoo: Zoo, tmp_path: Path) -> None:
    found = gate(zoo.measured, zoo.meter, zoo.params, tmp_path, count=30).set_index("kind")
    assert set(found.index) == {*KINDS, "all"}
    assert (found["recall"] >= 0.95).all(), found
    assert (found["rejected"] <= 0.03).all(), found


@pytest.mark.slow
def test_the_gate_prevents_the_loss_from_wrong_pictures(zoo: Zoo, tmp_path: Path) -> None:
    """10 % wrong pictures, all of some categories: only without the gate does mAP fall."""
    found = experiment(zoo.world, zoo.measured, zoo.meter, zoo.params, tmp_path, whole=True)
    clean, on, off = (found[column] for column in ("clean", "gate on", "gate off"))
    assert (on >= clean - 0.01).all(), found
    assert off["imagined alone"] < clean["imagined alone"] - 0.03, found
    assert off["fused"] < clean["fused"] - 0.01, found


@pytest.mark.slow
def test_redrawing_wrong_pictures_leaves_no_category_short(zoo: Zoo, tmp_path: Path) -> None:
    """10 % wrong pictures, spread over the categories."""
    found = experiment(zoo.world, zoo.measured, zoo.meter, zoo.params, tmp_path)
    assert (found["gate on"] >= found["clean"] - 0.01).all(), found
    assert found.loc["imagined alone", "gate off"] < found.loc["imagined alone", "clean"], found
