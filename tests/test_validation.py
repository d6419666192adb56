"""Validation of imagined pictures: what is wrong is found, drawn anew, or kept out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.planted import KINDS
from benchmarks.validation import World, experiment, gate
from components import config
from components.datasets.emblems import Category, categories, draw
from components.errors import EidolonError
from components.features import embed
from components.features.features import Features
from components.files import sha256
from components.imagining.drawing import draw as imagine
from components.imagining.generator import Generator
from components.imagining.recipes import wanted
from components.imagining.seeds import seed_of
from components.imagining.store import Store
from components.index.gallery import Gallery
from components.learning.train import fit, new_aggregator
from components.models.encoders import ClipEncoder, VisionEncoder
from components.paths import ACCEPTED, BUNDLE, IMAGINED, VALIDATION
from components.serving import bundle, loading
from components.serving.retriever import Retriever
from components.validation import suites, thresholds
from components.validation.judge import leave_one_out, nearest_better, view_distances
from components.validation.limit import Limit
from components.validation.measure import Measured, Meter, clip_margin, views
from components.validation.validate import validate
from tests import toy
from tests.rounding import of_dot

pytestmark = pytest.mark.numeric


@pytest.fixture
def copy(built_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the toy project that a test may damage, as the working directory."""
    root = tmp_path / "toy"
    shutil.copytree(built_toy, root)
    monkeypatch.chdir(root)
    return root


def changed(**values: Any) -> config.Params:
    """The toy's parameters with other ones for validation."""
    params = config.load()
    return params.model_copy(update={"validation": params.validation.model_copy(update=values)})


def measurements() -> pd.DataFrame:
    return pd.read_csv(VALIDATION / "measurements.csv", keep_default_na=False)


def _text(file: Path) -> None:
    file.write_text("no picture")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def _absent(file: Path) -> None:
    file.unlink()


def _other(file: Path) -> None:
    Image.new("RGB", (32, 32), "gray").save(file)


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (_text, "does not decode"),
    (_cut, "does not decode"),
    (_absent, "does not decode"),
    (_other, "differs from its manifest"),
]


def test_offending_pictures_are_drawn_anew_with_other_seeds(copy: Path) -> None:
    params = config.load()
    before = pd.read_csv(IMAGINED / "manifest.csv").set_index("path")
    bad = before.index[1::4]
    for path, (damage, _) in zip(bad, DAMAGE, strict=True):
        damage(IMAGINED / path)
    report = validate(params)
    assert report["success"] and report["redrawn"] == 4 and report["quarantined"] == {}
    assert report["offending"] == {"does not decode": 3, "differs from its manifest": 1}
    after = pd.read_csv(ACCEPTED / "manifest.csv").set_index("path")
    assert set(after.index) == set(before.index)
    others = after.drop(bad)
    assert (others["attempt"] == 0).all()
    assert (others["seed"] == before.loc[others.index, "seed"]).all()

    page, told = (VALIDATION / "index.html").read_text(), measurements()
    generator = Generator(params.generator)
    for path, (damage, reason) in zip(bad, DAMAGE, strict=True):
        row = after.loc[path]
        assert row["attempt"] == 1
        k = int(Path(path).stem)
        assert row["seed"] == seed_of(row["prompt"], k, params.generator.seed, attempt=1)
        (alone,) = generator.draw([row["prompt"]], [int(row["seed"])])
        stored = np.asarray(Image.open(ACCEPTED / path), dtype=int)
        assert np.abs(np.asarray(alone, dtype=int) - stored).max() <= 1
        attempts = told[told["path"] == path]
        assert attempts["outcome"].tolist() == ["redrawn", "accepted"]
        assert attempts["reason"].tolist() == [reason, ""]
        kept = VALIDATION / "quarantine" / path.replace(".png", "-0.png")
        assert kept.is_file() == (damage is not _absent)
        assert path in page
    linked = [unquote(link) for link in re.findall(r'href="([^"]+)"', page)]
    assert len(linked) == 4  # the index, and a page for each suite
    assert all((VALIDATION / link).is_file() for link in linked)


def test_a_failure_of_most_pictures_is_critical_and_accepts_nothing(copy: Path) -> None:
    shutil.rmtree(ACCEPTED)  # as DVC does before the stage runs
    with pytest.raises(EidolonError, match=r"is blank \(contrast should be at least 0\.45\)"):
        validate(changed(min_contrast=0.45, attempts=1))
    assert not ACCEPTED.exists()
    report = json.loads((VALIDATION / "report.json").read_text())
    assert not report["success"] and report["critical"]
    assert report["redrawn"] == 16
    rows = measurements()
    assert set(rows.query("attempt == 1")["outcome"]) == {"quarantined"}
    assert "Data Docs" in (VALIDATION / "index.html").read_text()


def test_a_category_with_too_few_pictures_is_left_to_text(copy: Path) -> None:
    name = "red plain star"
    for file in (IMAGINED / name.replace(" ", "_")).glob("*.png"):
        file.write_text("no picture")
    found = {"attempts": 0, "mostly": 0.5, "max_text_only": 0.2}
    report = validate(changed(**found))
    assert report["success"] and report["text_only"] == [name]
    assert any("left to text alone" in warning for warning in report["warnings"])
    assert name not in set(pd.read_csv(ACCEPTED / "manifest.csv")["category"])
    with pytest.raises(EidolonError, match="left to text alone, too many"):
        validate(changed(**(found | {"max_text_only": 0.1})))

    params = config.load()
    features = embed.embed(params.encoders)
    row = features.categories["category"].tolist().index(name)
    assert not features.accepted[row].any()
    bundle.bundle(params)
    retriever = Retriever(loading.load(BUNDLE), params.generator, params.encoders)
    answer = retriever.search(name, 5)
    assert answer.seeds == []
    for hit in answer.hits:
        assert hit.score == pytest.approx(hit.text_score - hit.hubness, abs=2e-6)


def test_the_same_pictures_give_the_same_pages(copy: Path) -> None:
    """Whenever they are judged: else dvc.lock would change with every first run."""

    def pages() -> dict[Path, bytes]:
        validate(config.load())
        return {path: path.read_bytes() for path in VALIDATION.rglob("*") if path.is_file()}

    first = pages()
    assert any(path.suffix == ".html" and "validations" in path.parts for path in first)
    assert pages() == first


def test_no_more_pictures_may_be_asked_for_than_are_drawn(toy_models: Path) -> None:
    values = toy.params(toy_models, toy_models)
    values["validate"]["min_accepted"] = values["generator"]["images_per_category"] + 1
    with pytest.raises(ValueError, match=r"min_accepted 3 is more than generator\.images_per_cat"):
        config.Params.model_validate(values)


def test_training_leaves_out_a_category_without_pictures(in_toy: Path) -> None:
    """As if it were of another split: it moves neither the network nor λ."""
    params, features = config.load().train, Features.load()
    row = features.rows("train")[0]
    accepted, elsewhere = features.accepted.copy(), features.categories.copy()
    accepted[row], elsewhere.loc[row, "split"] = False, "unseen"
    without = replace(features, accepted=accepted)
    start = new_aggregator(without, params)
    (one, history), (other, same) = (
        fit(chosen, params, deepcopy(start))
        for chosen in (without, replace(without, categories=elsewhere))
    )
    pd.testing.assert_frame_equal(history, same)
    for name, values in one.state_dict().items():
        np.testing.assert_array_equal(values, other.state_dict()[name])
    assert not fit(features, params, deepcopy(start))[1]["loss"].equals(history["loss"])


def test_a_prompt_of_digits_is_text(copy: Path) -> None:
    told = IMAGINED / "manifest.csv"
    rows = pd.read_csv(told).assign(prompt="1984")
    rows.to_csv(told, index=False)
    (IMAGINED / rows["path"][0]).write_text("no picture")
    report = validate(config.load())
    assert report["success"] and report["redrawn"] == 1


def test_an_answer_names_the_seeds_of_redrawn_pictures(copy: Path) -> None:
    bad = pd.read_csv(IMAGINED / "manifest.csv").iloc[0]
    (IMAGINED / bad["path"]).write_text("no picture")
    params = config.load()
    validate(params)
    embed.embed(params.encoders)
    bundle.bundle(params)
    retriever = Retriever(loading.load(BUNDLE), params.generator, params.encoders)
    seeds = retriever.search(bad["category"], 3).seeds
    base = params.generator.seed
    assert seeds == [seed_of(bad["prompt"], 0, base, 1), seed_of(bad["prompt"], 1, base)]


def test_a_suite_says_what_fails_how_severely_and_where(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"path": list("abcd"), "fine": [True, True, True, False], "size": [1.0, 2.0, np.nan, 9.0]}
    )
    rules = [
        suites.Rule("fine", 1, None, "is not fine", "warning"),
        suites.Rule("size", None, 5, "is too large", "critical"),
    ]
    lenient = [suites.Rule("size", None, 5, "is too large", "critical", mostly=0.6)]
    found = suites.run(
        [
            suites.Suite("one", frame, "path", rules),
            suites.Suite("two", frame, "path", lenient),
        ],
        tmp_path / "docs",
    )
    assert found == [
        suites.Failure("critical", "one: 1 of 4: is too large (size should be at most 5): d"),
        suites.Failure("warning", "one: 1 of 4: is not fine (fine should be at least 1): d"),
    ]
    assert (tmp_path / "docs" / "index.html").is_file()


def test_strangers_do_not_vouch_for_each_other() -> None:
    friends = np.array([[1, 0.1, 0], [1, -0.1, 0], [1, 0, 0.1], [1, 0, -0.1]])
    strangers = np.array([[0, 1, 0.05], [0, 1, -0.05]])
    vectors = np.vstack([friends, strangers]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = leave_one_out(vectors, 0.8)
    assert (found[:4] > 0.98).all() and (found[4:] < 0.5).all()
    assert np.isnan(leave_one_out(vectors[:1], 0.8)).all()
    pair = leave_one_out(vectors[[0, 4]], 0.8)  # of two that disagree the second leaves
    assert np.isnan(pair[0]) and pair[1] < 0.8


OF_SQUARES = 2 * 0.21**2 * of_dot(96)
"""A difference is 0.21·√(2 - 2·likeness), and the likeness a dot product of 96 terms: near zero the
root makes much of little, so squares are compared."""


def test_the_best_of_several_copies_stays() -> None:
    one, two = (draw(c, seed=5, subset="copies", index=0) for c in chosen()[:2])
    again = one.resize((24, 24)).resize(one.size)
    seen = np.stack([views(image) for image in (one, two, again, one, two)])
    nearest, of = nearest_better(seen, 0.025)
    assert np.isnan(nearest[0]) and nearest[1] > 0.03
    assert (nearest[2:] < 0.025).all() and of[2:].tolist() == [0, 0, 1]
    assert (nearest[3:] ** 2 <= OF_SQUARES).all() and np.isfinite(nearest[1:]).all()


def test_an_altered_picture_is_nearer_than_another_one() -> None:
    """Whichever of the two is the original."""
    image, other = (draw(c, seed=5, subset="copies", index=0) for c in chosen()[:2])
    values = np.asarray(image)
    inner = image.crop((1, 1, image.width - 1, image.height - 1))
    altered = [
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        inner.resize(image.size, Image.Resampling.BICUBIC),
        Image.fromarray(np.uint8(values * 0.8)),
        Image.fromarray(np.pad(values, ((1, 0), (0, 0), (0, 0)), mode="edge")[:-1]),
        Image.fromarray(np.pad(values, ((0, 0), (0, 1), (0, 0)), mode="edge")[:, 1:]),
    ]
    of_altered = np.stack([views(i) for i in altered])
    of_two = np.stack([views(image), views(other)])
    found = view_distances(of_altered, of_two)
    back = view_distances(of_two, of_altered).T
    np.testing.assert_allclose(found**2, back**2, rtol=0, atol=OF_SQUARES)
    assert (found[:, 0] < 0.01).all() and (found[:, 1] > 0.03).all()


def test_agreement_is_the_lead_over_the_best_other_prompt() -> None:
    text = np.eye(3, dtype=np.float32)
    clip = np.array([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
    lead, other = clip_margin(clip, text, np.array([0, 1]))
    np.testing.assert_allclose(lead, [-0.2, 1.0], rtol=0, atol=2 * of_dot(3))
    assert other.tolist() == [1, 0]


PHOTOS = 6  # of each category in the gallery


def chosen() -> list[Category]:
    """40 categories that differ in one attribute or more, of all splits."""
    return [
        c for c in categories() if c.colour in ("red", "teal") and c.pattern in ("plain", "striped")
    ]


def test_limits_are_set_from_what_they_cut(in_toy: Path, tmp_path: Path) -> None:
    values = np.linspace(0, 1, 101)
    limit = Limit("contrast", 0.1, None, "is blank")
    item = thresholds.Distribution(limit, values, values[:5])
    assert item.beyond(item.pictures) == pytest.approx(10 / 101)
    assert item.beyond(item.wrong) == 1.0
    assert item.cutting(0.25) == (0.25, None)

    nothing = thresholds.Distribution(limit, values[:0], values[:0])
    assert nothing.cutting(0.25) == (None, None)

    contrast = measurements()["contrast"].to_numpy(dtype=float)
    params = changed(min_contrast=float(np.median(contrast)))
    found = {item.limit.column: item for item in thresholds.distributions(params)}
    of_imagined = {
        "contrast",
        "sharpness",
        "clip_margin",
        "view_distance",
        "category_similarity",
        "diversity",
    }
    assert set(found) == of_imagined | {"label", "leak", "copy"}
    assert all(item.wrong.size for item in found.values())
    assert np.sort(found["contrast"].pictures) == pytest.approx(np.sort(contrast))
    assert found["contrast"].beyond(found["contrast"].pictures) == 0.5
    assert len(found["clip_margin"].wrong) == len(contrast)
    assert found["contrast"].beyond(found["contrast"].wrong) == 1.0
    assert found["sharpness"].wrong.min() > 0.4
    assert 0 < len(found["diversity"].pictures) <= len(toy.NAMES)
    thresholds.plot([*found.values(), nothing], tmp_path / "reports" / "thresholds.png")
    with Image.open(tmp_path / "reports" / "thresholds.png") as image:
        assert image.format == "PNG" and image.width > 500


@dataclass(frozen=True)
class Zoo:
    """Some of the embedded world's categories, imagined by the shipped models with a seed other
    than that of the pictures which the limits were set on."""

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
    addresses = imagine(jobs, params.generator, store)
    files = [store.path(addresses[w]) for w in jobs]
    frame = pd.DataFrame(
        {
            "path": [f"{w.category}/{w.k:02d}.png" for w in jobs],
            "category": [w.category for w in jobs],
            "prompt": [w.prompt for w in jobs],
            "seed": [w.seed for w in jobs],
            "model": "generator",
            "sha256": [sha256(file) for file in files],
            "address": [addresses[w] for w in jobs],
            "attempt": 0,
        }
    )
    meter = Meter(params.encoders, [c.name for c in categories()])
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
def test_the_gate_undoes_what_wrong_pictures_cost(zoo: Zoo, tmp_path: Path) -> None:
    """10 % wrong pictures, all of some categories: the loss is there without the gate alone."""
    found = experiment(zoo.world, zoo.measured, zoo.meter, zoo.params, tmp_path, whole=True)
    clean, on, off = (found[column] for column in ("clean", "gate on", "gate off"))
    assert (on >= clean - 0.01).all(), found
    assert off["imagined alone"] < clean["imagined alone"] - 0.03, found
    assert off["fused"] < clean["fused"] - 0.01, found


@pytest.mark.slow
def test_redrawing_wrong_pictures_leaves_no_category_short(zoo: Zoo, tmp_path: Path) -> None:
    """10 % wrong pictures, strewn over the categories."""
    found = experiment(zoo.world, zoo.measured, zoo.meter, zoo.params, tmp_path)
    assert (found["gate on"] >= found["clean"] - 0.01).all(), found
    assert found.loc["imagined alone", "gate off"] < found.loc["imagined alone", "clean"], found
