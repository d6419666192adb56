"""Validation of imagined pictures: wrong ones are found, and are drawn again or left out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components import config
from components.errors import EidolonError
from components.features import embed
from components.features.features import Features
from components.imagining.generator import Generator
from components.imagining.seeds import seed_of
from components.learning.train import fit, new_aggregator
from components.paths import ACCEPTED, BUNDLE, IMAGINED, VALIDATION
from components.serving import bundle
from components.validation.validate import validate
from tests import toy
from tests.searching import Searching
from tests.validating import changed, measurements

pytestmark = pytest.mark.numeric


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


def test_rejected_pictures_are_drawn_again_with_other_seeds(toy_copy: Path) -> None:
    params = config.load()
    before = pd.read_csv(IMAGINED / "manifest.csv").set_index("path")
    bad = before.index[1::4][: len(DAMAGE)]
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


def test_the_generator_is_loaded_once_for_all_rounds(
    toy_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = [], Generator.__init__

    def counting(self: Generator, params: config.Generator) -> None:
        loaded.append(params)
        load(self, params)

    monkeypatch.setattr(Generator, "__init__", counting)
    with pytest.raises(EidolonError, match="validation of the imagined pictures failed"):
        validate(changed(min_contrast=0.45, attempts=2))
    assert set(measurements()["attempt"]) == {0, 1, 2} and len(loaded) == 1


def test_a_failure_of_most_pictures_is_critical_and_accepts_nothing(toy_copy: Path) -> None:
    shutil.rmtree(ACCEPTED)  # as DVC does before the stage runs
    with pytest.raises(EidolonError, match=r"is blank \(contrast should be at least 0\.45\)"):
        validate(changed(min_contrast=0.45, attempts=1))
    assert not ACCEPTED.exists()
    report = json.loads((VALIDATION / "report.json").read_text())
    assert not report["success"] and report["critical"]
    assert report["redrawn"] == len(pd.read_csv(IMAGINED / "manifest.csv"))
    rows = measurements()
    assert set(rows.query("attempt == 1")["outcome"]) == {"quarantined"}
    assert "Data Docs" in (VALIDATION / "index.html").read_text()


def test_a_category_with_too_few_pictures_is_left_to_text(toy_copy: Path) -> None:
    name = "red plain star"
    for file in (IMAGINED / name.replace(" ", "_")).glob("*.png"):
        file.write_text("no picture")
    found = {"attempts": 0, "mostly": 0.5, "max_text_only": 0.2}
    report = validate(changed(**found))
    assert report["success"] and report["text_only"] == [name, f"{name} (description)"]
    assert any("left to text alone" in warning for warning in report["warnings"])
    assert name not in set(pd.read_csv(ACCEPTED / "manifest.csv")["category"])
    with pytest.raises(EidolonError, match="left to text alone, too many"):
        validate(changed(**(found | {"max_text_only": 0.1})))

    params = config.load()
    features = embed.embed(params.encoders)
    row = features.categories["category"].tolist().index(name)
    assert not features.accepted[row].any()
    bundle.bundle(params)
    answer = Searching(BUNDLE, params)(name, 5)
    assert answer["seeds"] == [] and answer["degraded"] == "unfit"
    for hit in answer["hits"]:
        assert hit["score"] == pytest.approx(hit["text_score"] - hit["hubness"], abs=2e-6)


def test_the_same_pictures_give_the_same_pages(toy_copy: Path) -> None:
    """The time of the validation does not matter: otherwise dvc.lock would change with every first
    run."""

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
    """Such a category changes neither the network nor λ, as if it belonged to another split."""
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


def test_a_prompt_of_digits_is_text(toy_copy: Path) -> None:
    told = IMAGINED / "manifest.csv"
    rows = pd.read_csv(told).assign(prompt="1984")
    rows.to_csv(told, index=False)
    (IMAGINED / rows["path"][0]).write_text("no picture")
    report = validate(config.load())
    assert report["success"] and report["redrawn"] == 1


def test_an_answer_names_the_seeds_of_redrawn_pictures(toy_copy: Path) -> None:
    bad = pd.read_csv(IMAGINED / "manifest.csv").iloc[0]
    (IMAGINED / bad["path"]).write_text("no picture")
    params = config.load()
    validate(params)
    embed.embed(params.encoders)
    bundle.bundle(params)
    seeds = Searching(BUNDLE, params)(bad["category"])["seeds"]
    base = params.generator.seed
    assert seeds == [seed_of(bad["prompt"], 0, base, 1), seed_of(bad["prompt"], 1, base)]
