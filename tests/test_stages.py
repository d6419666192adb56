"""The stages from pictures to bundle, on the toy project, with good and with bad input."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components import config
from components.datasets.dataset import dataset
from components.errors import EidolonError
from components.features import embed
from components.features.features import Features
from components.imagining.generator import Generator
from components.imagining.memory import Drawn
from components.imagining.recipes import Order
from components.learning import aggregator, train
from components.paths import BUNDLE, DATASET, FEATURES, IMAGINED
from components.serving import loading
from components.serving.imaginer import Imaginer
from tests import toy
from tests.rounding import of_dot


def test_the_dataset_has_each_category_in_one_split(in_toy: Path) -> None:
    frame = pd.read_csv(DATASET / "manifest.csv")
    assert set(frame["category"]) == set(toy.NAMES)
    assert (frame.groupby("category")["split"].nunique() == 1).all()
    assert set(frame["split"]) == {"train", "validation", "unseen", "gate"}
    never = frame["split"].isin(["unseen", "gate"])
    assert "training" not in set(frame.loc[never, "subset"])
    for path in frame["path"]:
        assert Image.open(DATASET / path).size == (32, 32)


@pytest.mark.numeric
def test_imagined_pictures_are_seeded_and_independent_of_the_batch(in_toy: Path) -> None:
    params = config.load().generator
    frame = pd.read_csv(IMAGINED / "manifest.csv")
    assert frame.groupby(["category", "kind"]).size().eq(params.images_per_category).all()
    assert frame["seed"].is_unique
    row = frame.iloc[5]
    (alone,) = Generator(params).draw([row["prompt"]], [int(row["seed"])])
    stored = np.asarray(Image.open(IMAGINED / row["path"]), dtype=int)
    assert np.abs(np.asarray(alone, dtype=int) - stored).max() <= 1


@pytest.mark.numeric
def test_features_are_unit_vectors_in_the_order_of_their_tables(in_toy: Path) -> None:
    features = Features.load()
    assert len(features.gallery) == len(features.gallery_clip) == len(features.gallery_vision)
    for rows in (
        features.gallery_clip,
        features.training_vision,
        features.imagined.reshape(-1, 96),
    ):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=0, atol=of_dot(96))
    assert (features.labels(features.gallery) >= 0).all()


@pytest.mark.numeric
def test_training_is_bit_identical_for_a_seed(in_toy: Path) -> None:
    features, params = Features.load(), config.load().train
    one, history = train.fit(features, params)
    two, again = train.fit(features, params)
    assert all((v == two.state_dict()[k]).all() for k, v in one.state_dict().items())
    pd.testing.assert_frame_equal(history, again)


@pytest.mark.numeric
def test_a_known_category_has_the_vectors_of_its_own_pictures(in_toy: Path) -> None:
    """The precomputed vectors equal those from drawing the same pictures again."""
    params, loaded = config.load(), loading.load(BUNDLE)
    features = Features.load()
    image = aggregator.aggregate(loaded.aggregator, features)
    np.testing.assert_allclose(image, loaded.aggregated, atol=1e-6)
    row = loaded.categories["category"].tolist().index("red plain star")
    listed = loaded.categories.iloc[row]
    orders = [
        Order("a photo of a red plain star", int(seed), address, math.inf)
        for seed, address in zip(listed["seeds"].split(), listed["addresses"].split(), strict=True)
    ]
    drawn = Imaginer(params.generator, params.encoders).draw(orders)
    fresh = np.stack([one.vision for one in drawn if isinstance(one, Drawn)])
    np.testing.assert_allclose(fresh, features.imagined[row], atol=0.02)
    np.testing.assert_array_equal(loaded.imagined[row], features.imagined[row])


def test_a_damaged_bundle_is_refused_by_name(toy_copy: Path) -> None:
    path = BUNDLE / "gallery.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(EidolonError, match=r"gallery\.safetensors is missing or not the file"):
        loading.load(BUNDLE)
    shutil.rmtree(BUNDLE)
    with pytest.raises(EidolonError, match=r"bundle\.json is missing"):
        loading.load(BUNDLE)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\nbroken"])
def test_an_unreadable_picture_stops_the_dataset_and_keeps_the_old(
    toy_copy: Path, content: bytes
) -> None:
    before = (DATASET / "manifest.csv").read_text()
    params = config.load().dataset
    assert params.source is not None
    source = toy_copy / "source"
    shutil.copytree(params.source, source)
    bad = source / "red_plain_star" / "0.png"
    bad.write_bytes(content)
    with pytest.raises(EidolonError, match=r"red_plain_star/0\.png cannot be decoded"):
        dataset(params.model_copy(update={"source": source}))
    assert (DATASET / "manifest.csv").read_text() == before
    assert not list(DATASET.parent.glob("*.part"))


def test_an_empty_category_and_a_missing_source_are_named(toy_copy: Path) -> None:
    params = config.load().dataset
    assert params.source is not None
    source = toy_copy / "source"
    shutil.copytree(params.source, source)
    (source / "empty_one").mkdir()
    with pytest.raises(EidolonError, match="empty_one has no pictures"):
        dataset(params.model_copy(update={"source": source}))
    with pytest.raises(
        EidolonError, match="nowhere does not exist: give a folder with one folder per"
    ):
        dataset(params.model_copy(update={"source": toy_copy / "nowhere"}))


@pytest.mark.parametrize("model", ["clip/model.safetensors", "dino/config.json"])
def test_a_damaged_model_is_named(toy_copy: Path, built_toy: Path, model: str) -> None:
    shutil.copytree(built_toy / "models", toy_copy / "copied")
    broken = toy_copy / "copied" / model
    broken.write_bytes(broken.read_bytes()[:100])
    params = config.load().encoders.model_copy(
        update={"clip": str(toy_copy / "copied/clip"), "vision": str(toy_copy / "copied/dino")}
    )
    before = (FEATURES / "features.safetensors").stat().st_mtime_ns
    with pytest.raises(EidolonError, match=broken.name.replace(".", r"\.") + " is damaged"):
        embed.embed(params)
    assert (FEATURES / "features.safetensors").stat().st_mtime_ns == before


def test_the_command_line_says_one_sentence_and_exits_2(tmp_path: Path) -> None:
    def eidolon(*words: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("eidolon"), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    for words in (["dataset"], ["train"], ["use", "nothing"]):
        found = eidolon(*words)
        assert found.returncode == 2
        assert found.stderr.startswith("error: ") and "Traceback" not in found.stderr
    with chdir(tmp_path):
        shutil.copy(toy.ROOT / "profiles" / "embedded.yaml", tmp_path / "params.yaml")
    found = eidolon("generate")
    assert (found.returncode, found.stdout) == (2, "")
    assert "run `dvc repro plan`" in found.stderr
