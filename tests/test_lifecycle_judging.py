"""The verdict on a version: scored on today's pictures, and told on a page."""

from __future__ import annotations

import html
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from components import config
from components.errors import EidolonError
from components.features.embed import embed
from components.features.features import Features
from components.lifecycle import contenders
from components.lifecycle.contenders import Contender, Today
from components.lifecycle.judging import judge
from components.serving.bundle import bundle
from tests import contending, planted
from tests.contending import SPLITS, WORSE, World, version

pytest_plugins = ["tests.contending"]


def test_the_same_model_on_a_grown_gallery_is_not_blocked(made: World) -> None:
    """Its mAP is another one there, but so is the champion's."""
    champion = version(made, 1)
    before = made.judge(champion, champion)
    grown = contending.today(made, planted.features(SPLITS, shown=2 * planted.SHOWN))
    challenger = version(grown, 2)
    verdict = grown.judge(challenger, champion, champion)
    assert before.passed and verdict.passed
    assert verdict.figures["champion.mean"] == verdict.figures["champion.low"] == 0
    versions = made.told()["versions"]
    assert versions["challenger"]["map"] == versions["champion"]["map"]
    assert made.told()["data"]["gallery"] == 30 * 2 * planted.SHOWN
    assert "best" not in versions  # the champion is the best


def test_a_worse_model_is_refused_and_the_page_says_why(made: World) -> None:
    verdict = made.judge(version(made, 2, WORSE), version(made, 1))
    assert not verdict.passed and not verdict.leads
    assert verdict.figures["champion.high"] < -made.params.gate.margin
    page = made.page()
    assert "Version 2 is refused" in page
    lost = made.told()["changes"]["lost"][0]["category"]
    for part in ("version 1, the champion", "margin", "data:image/png", lost, "0.003"):
        assert part in page, part
    assert verdict.reason[1:].split(":")[0] in page
    assert page.count("<img") == 1 + 3 * sum(map(len, made.told()["changes"].values()))
    with Image.open(made.folder / "verdict" / "slices.png") as picture:
        assert min(picture.size) > 200


def test_a_better_model_passes_and_leads(made: World) -> None:
    verdict = made.judge(version(made, 2), version(made, 1, WORSE))
    assert verdict.passed and verdict.leads
    assert verdict.reason.startswith("better than version 1, the champion")
    assert "Version 2 may become the champion" in made.page()


def test_the_first_champion_need_only_beat_text_alone(made: World) -> None:
    verdict = made.judge(version(made, 1))
    assert verdict.passed and verdict.reason.startswith("first champion")
    assert set(verdict.figures) >= {"gain.mean", "gain.low", "gain.high"}
    assert not any(name.startswith("champion") for name in verdict.figures)
    assert not made.judge(version(made, 2, WORSE)).passed


def test_the_best_version_so_far_counts_too(made: World) -> None:
    best, champion, challenger = version(made, 1), version(made, 2, WORSE), version(made, 3, WORSE)
    verdict = made.judge(challenger, champion, best)
    assert not verdict.passed
    assert any("version 1, the best version so far" in said for said in made.told()["objections"])
    assert verdict.figures["champion.mean"] == 0 > verdict.figures["best.mean"]


def test_gate_and_seen_categories_decide_and_no_unseen_one_is_looked_at(made: World) -> None:
    challenger, champion = version(made, 2, 0.05), version(made, 1)
    first = made.judge(challenger, champion)
    table = pd.read_csv(made.folder / "verdict" / "per_category.csv")
    assert table["split"].value_counts().to_dict() == {"train": 12, "gate": 10}
    assert table["group"].value_counts().to_dict() == {"seen": 12, "new": 10}
    mean = table.groupby("group")["difference"].mean().mean()
    assert mean == pytest.approx(first.figures["champion.mean"], abs=1e-4)
    text = made.features.text.copy()
    text[made.features.rows("unseen")] *= -1
    figures = contending.today(made, replace(made.features, text=text)).judge(challenger, champion)
    assert figures.figures["champion.free_text.mean"] == first.figures["champion.free_text.mean"]


def test_without_kept_categories_those_of_validation_stand_in(tmp_path: Path) -> None:
    splits = ("train",) * 12 + ("validation",) * 10 + ("unseen",) * 8
    made = contending.world(tmp_path, planted.features(splits))
    verdict = made.judge(version(made, 2), version(made, 1))
    assert verdict.passed and verdict.figures["data.new"] == 10
    assert "only 0 new categories are kept for the gate" in made.told()["notes"][0]
    assert "those of validation join them" in made.page()


def test_too_few_categories_give_no_conclusion(tmp_path: Path) -> None:
    made = contending.world(tmp_path, planted.features(("train",) * 12 + ("validation", "gate")))
    verdict = made.judge(version(made, 2), version(made, 1))
    assert not verdict.passed and "so few new categories: 2" in verdict.reason
    assert "NaN" not in json.dumps(made.told()) and "nan" not in made.page()
    none = contending.world(tmp_path / "none", planted.features(("train",) * 12))
    assert "so few new categories: 0" in none.judge(version(none, 1)).reason


def test_what_the_champion_was_trained_on_is_new_for_none(made: World) -> None:
    """A split may have moved since."""
    before = made.features.categories.copy()
    before.loc[before.index[-4:], "split"] = "train"
    champion = version(replace(made, features=replace(made.features, categories=before)), 1)
    verdict = made.judge(version(made, 2), champion)
    assert verdict.figures["data.new"] == 6 + 4  # with those of validation
    assert any("4 categories do not decide" in note for note in made.told()["notes"])


def test_ingested_pictures_are_slices(made: World) -> None:
    contending.ingested(made, *(f"Category_{i}" for i in (*range(8), *range(20, 25))), "gone")
    challenger, champion = version(made, 2), version(made, 1)
    names = ["with ingested pictures", "without ingested pictures"]
    verdict = made.judge(challenger, champion)
    assert verdict.figures["data.ingested"] == 13
    slices = {part["name"]: part for part in made.told()["comparisons"][0]["slices"]}
    assert [slices[name]["categories"] for name in names] == [13, 9]
    assert slices[names[1]]["outcome"] == "too few"
    assert all(name in made.page() for name in names)


def test_an_older_bundle_without_its_index_takes_todays(made: World) -> None:
    older = version(made, 1, without="index")
    verdict = made.judge(version(made, 2), older)
    assert verdict.passed and verdict.figures["champion.mean"] == 0
    (note,) = made.told()["versions"]["champion"]["notes"]
    assert "settings of the index" in note and html.escape(note) in made.page()


def test_each_version_has_the_index_of_its_bundle(made: World) -> None:
    plain = version(made, 2, index={"hubness_temperature": 0.0})
    made.judge(plain, version(made, 1))
    table = pd.read_csv(made.folder / "verdict" / "per_category.csv")
    np.testing.assert_allclose(table["challenger, named"], table["challenger, free text"])
    assert (table["champion, named"] != table["champion, free text"]).any()


@pytest.mark.parametrize("role", ["champion", "best"])
def test_a_version_whose_model_is_gone_is_a_refusal_with_a_remedy(made: World, role: str) -> None:
    gone = version(made, 1, models={"clip": "clip@0123456789ab"}, encoders={"clip": "/gone/clip"})
    others = {"champion": version(made, 2)} | {role: gone}
    verdict = made.judge(version(made, 3), **others)
    assert not verdict.passed and verdict.figures == {}
    assert verdict.reason.startswith("version 1 cannot be compared: it was made with clip@012345")
    assert "/gone/clip is gone: restore the model; or promote with a reason" in verdict.reason
    assert "Version 3 is refused" in made.page() and "/gone/clip is gone" in made.page()


def test_a_model_that_changed_in_its_folder_is_a_refusal(made: World) -> None:
    champion = version(made, 1)
    (made.folder / "models" / "vision" / "config.json").write_text("{}")
    verdict = made.judge(version(made, 2), champion)
    assert not verdict.passed and "models/vision is now vision@" in verdict.reason


def test_a_bundle_of_another_format_is_a_refusal(made: World) -> None:
    verdict = made.judge(version(made, 2), version(made, 1, format=4))
    assert not verdict.passed and "has format 4, not 5" in verdict.reason


def test_a_version_of_another_generator_keeps_its_own_pictures(made: World) -> None:
    few = made.features.categories.index[:-2]
    before = replace(
        made.features,
        categories=made.features.categories.loc[few],
        text=made.features.text[few],
        imagined=-made.features.imagined[few][:, :3],
        accepted=made.features.accepted[few][:, :3],
        gallery=made.features.gallery.iloc[: len(few) * planted.SHOWN],
        gallery_clip=made.features.gallery_clip[: len(few) * planted.SHOWN],
        gallery_vision=made.features.gallery_vision[: len(few) * planted.SHOWN],
    )
    champion = version(replace(made, features=before), 1, generator={"prompt": "the {}"})
    verdict = made.judge(version(made, 2), champion)
    assert verdict.passed and verdict.figures["champion.mean"] > 0.1  # its pictures mislead
    (note,) = made.told()["versions"]["champion"]["notes"]
    assert note == "took its own imagined pictures, of 28 of 30 categories"
    assert verdict.figures["data.new"] == 8 + 4
    assert any("2 categories do not decide" in note for note in made.told()["notes"])


def test_a_failure_leaves_the_verdict_that_was_there(made: World) -> None:
    made.judge(version(made, 1))
    before = made.page()
    (made.folder / "dataset" / "manifest.csv").unlink()
    with pytest.raises(EidolonError, match=r"manifest\.csv is missing"):
        made.judge(version(made, 2))
    assert made.page() == before


def other_models(root: Path) -> tuple[config.Params, Contender]:
    """The toy's own bundle as a version, and parameters with other encoders, whose features and
    bundle are then today's."""
    shutil.copytree("artifacts/bundle", "before")
    params, folder = config.load(), root / "models" / "other"
    for name in ("clip", "dino"):
        shutil.copytree(root / "models" / name, folder / name)
        weights = load_file(folder / name / "model.safetensors")
        other = {key: np.array(np.flip(value)) for key, value in weights.items()}
        save_file(other, folder / name / "model.safetensors", {"format": "pt"})
    update = {"clip": str(folder / "clip"), "vision": str(folder / "dino")}
    params = params.model_copy(update={"encoders": params.encoders.model_copy(update=update)})
    embed(params.encoders)
    bundle(params)
    return params, Contender("version 1", Path("before"))


def test_a_version_of_other_encoders_embeds_todays_pictures_with_its_own(toy_copy: Path) -> None:
    before = Features.load()
    params, champion = other_models(toy_copy)
    today = Today(params, Features.load(), Path("data/dataset"), Path("data/accepted"))
    found = contenders.prepare(champion, today)
    for name in ("text", "gallery_clip", "gallery_vision", "imagined"):
        one, now = getattr(found.features, name), getattr(today.features, name)
        np.testing.assert_allclose(one, getattr(before, name), atol=1e-5)
        assert np.abs(one - now).max() > 0.01
    assert found.notes == (
        "embedded names and pictures by its CLIP",
        "embedded pictures by its vision encoder",
    )
    verdict = judge(
        Contender("version 2", Path("artifacts/bundle")), champion, None, params, Path("v")
    )
    assert verdict.passed, verdict.reason

    info = json.loads(Path("before/bundle.json").read_text())
    info["encoders"]["vision"] = "/gone/dino"
    Path("before/bundle.json").write_text(json.dumps(info))
    with pytest.raises(EidolonError, match="/gone/dino is gone: restore the model"):
        contenders.prepare(champion, today)
    stored = replace(champion, models=lambda: {"vision": toy_copy / "models" / "dino"})
    again = contenders.prepare(stored, today).features
    np.testing.assert_array_equal(again.gallery_vision, found.features.gallery_vision)
    wrong = replace(champion, models=lambda: {"vision": toy_copy / "models" / "clip"})
    with pytest.raises(EidolonError, match="restore the model"):
        contenders.prepare(wrong, today)


def test_other_templates_embed_the_names_alone_again(toy_copy: Path) -> None:
    params = config.load()
    encoders = params.encoders.model_copy(update={"text_templates": ("the {}",)})
    now = params.model_copy(update={"encoders": encoders})
    features = Features.load()
    today = Today(now, replace(features, text=features.text * 0), Path("data/dataset"), Path("x"))
    found = contenders.prepare(Contender("version 1", Path("artifacts/bundle")), today)
    np.testing.assert_allclose(found.features.text, features.text, atol=1e-5)
    assert found.features.gallery_clip is features.gallery_clip
    assert found.notes == ("embedded names by its CLIP",)
