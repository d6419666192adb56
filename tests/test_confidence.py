"""Confidence: a number that tells what the gallery has from what it has not, for any input."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components import config, names
from components.confidence import calibrate as stage
from components.confidence import fit as fitting
from components.confidence import report, texts
from components.confidence.confidence import (
    BEST,
    FEATURES,
    OF_TEXT,
    Confidence,
    Known,
    Logistic,
    features_of,
    terms,
)
from components.confidence.texts import Text
from components.errors import EidolonError
from components.index.gallery import Gallery, streams_of
from components.vectors import normalized

CATEGORIES = [
    "red plain star",
    "red plain ring",
    "blue striped star",
    "green dotted heart",
    "tulip",
]


def world(categories: int = 40, each: int = 6, dim: int = 24) -> tuple[Gallery, Known, np.ndarray]:
    """A gallery of clusters, the texts and imagined vectors near their centres, and the labels."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(categories, dim))
    labels = np.repeat(np.arange(categories), each)

    def near(rows: np.ndarray, noise: float) -> np.ndarray:
        moved = centres[rows] + noise * rng.normal(size=(len(rows), dim))
        return normalized(moved).astype(np.float32)

    own = np.arange(categories)
    gallery = Gallery(near(labels, 0.5), near(labels, 0.4))
    return gallery, Known(near(own, 0.4), near(own, 0.2)), labels


def measured() -> pd.DataFrame:
    """The features of names with and without their pictures, and of random vectors."""
    gallery, known, labels = world()
    rng = np.random.default_rng(1)
    nonsense = normalized(rng.normal(size=(40, 24))).astype(np.float32)
    on = stage.World(gallery, labels, known, np.array([], dtype=np.intp))
    asked = [
        stage.Asked(Text("known", f"{i}", (i,)), known.text[i], known.aggregated[i])
        for i in range(len(known.text))
    ] + [stage.Asked(Text("letters", "x"), vector, vector[::-1].copy()) for vector in nonsense]
    return stage.table(on, asked)


def fit(recall: float = 0.95) -> tuple[Confidence, pd.DataFrame]:
    found = measured()
    half = np.arange(len(found)) // 2 % 2 == 0  # a name and its removed twin stay together
    even, odd = found[half], found[~half]
    models = {name: fitting.fitted(even, columns, recall) for name, columns in stage.MODELS.items()}
    return Confidence(models["text"], models["full"]), odd


@pytest.fixture(scope="module")
def fitted() -> tuple[Confidence, pd.DataFrame]:
    return fit()


@pytest.mark.numeric
@pytest.mark.parametrize("count", [OF_TEXT, len(FEATURES)])
def test_what_the_gallery_has_is_told_from_what_it_has_not(
    fitted: tuple[Confidence, pd.DataFrame], count: int
) -> None:
    confidence, held = fitted
    rows = held[list(FEATURES)].to_numpy(copy=True)
    rows[:, count:] = np.nan  # no imagined pictures, in the first case
    values = np.array([confidence(row) for row in rows])
    shown = held["relevant"].to_numpy() == 1
    assert values[shown, 0].mean() > 0.85
    assert values[~shown, 0].mean() < 0.15
    assert values[shown, 1].mean() >= 0.8
    assert values[~shown, 1].mean() <= 0.2
    assert len(set(values[:, 0])) > 10  # each query has its own


def test_a_world_is_like_a_gallery_without_the_pictures_that_are_not_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gallery, known, labels = world()
    outside = np.array([3, 7, 20])
    kept = ~np.isin(labels, outside)
    smaller = Gallery(gallery.clip[kept], gallery.vision[kept])
    asked = [
        stage.Asked(Text("known", f"{row}", (row,)), known.text[row], known.aggregated[row])
        for row in range(10)
    ] + [stage.Asked(Text("color", "red", (3, 5)), known.text[4], 0 * known.aggregated[4])]
    expected = stage.table(stage.World(smaller, labels[kept], known, outside), asked)
    for numbers in (1, 700, 2**24):
        monkeypatch.setattr(stage, "_AT_ONCE", numbers)
        found = stage.table(stage.World(gallery, labels, known, outside), asked)
        pd.testing.assert_frame_equal(found, expected)
    assert set(expected.loc[expected["words"] == "3", "relevant"]) == {0}


def test_a_gallery_of_one_picture_and_one_category_gives_numbers(
    fitted: tuple[Confidence, pd.DataFrame],
) -> None:
    one = np.ones((1, 4), dtype=np.float32) / 2
    gallery, known = Gallery(one, one), Known(one, one)
    scores = np.ones(1, dtype=np.float32)
    for by_image in (None, scores):
        for own in (None, 0):
            streams = streams_of(scores, by_image, BEST)
            found = features_of(one[0], streams, gallery, known, own)
            assert found.shape == (len(FEATURES),)
            value, relevant = fitted[0](found)
            assert 0 <= value <= 1
            assert isinstance(relevant, bool)


def test_the_own_category_is_not_one_of_the_others() -> None:
    gallery, known, _ = world()
    scores = gallery.clip @ known.text[0], gallery.vision @ known.aggregated[0]
    streams = streams_of(*scores, BEST)
    mine, other = (features_of(known.text[0], streams, gallery, known, own) for own in (0, None))
    near, margin = FEATURES.index("text_near"), FEATURES.index("text_margin")
    assert other[near] == pytest.approx(1, abs=1e-6)
    assert mine[near] < 0.9
    assert mine[margin] > other[margin]
    assert other[margin] <= 1e-6


@settings(max_examples=50, deadline=None)
@given(
    arrays.arrays(
        np.float64,
        len(FEATURES),
        elements=st.floats(allow_nan=True, allow_infinity=True, width=64),
    )
)
def test_any_numbers_give_a_confidence_from_0_to_1(found: np.ndarray) -> None:
    confidence = Confidence(*(_logistic(count) for count in (OF_TEXT, len(FEATURES))))
    value, relevant = confidence(found)
    assert 0 <= value <= 1
    assert relevant == (value >= 0.5)


def _logistic(count: int) -> Logistic:
    many = count + count * (count + 1) // 2
    return Logistic((0.1,) * count, (0.5,) * count, (1.5,) * many, -1.0, 0.5)


def test_the_terms_are_the_features_and_their_products() -> None:
    assert terms(np.array([[2.0, 3.0]])).tolist() == [[2, 3, 4, 6, 9]]


@pytest.mark.numeric
def test_the_fit_is_the_optimum_and_does_not_depend_on_rounding() -> None:
    found = measured()
    table, relevant = found[list(FEATURES)].to_numpy(), found["relevant"].to_numpy()
    weight = fitting.weights(found)
    one = fitting.regression(table, relevant, weight)
    noise = 1e-7 * np.random.default_rng(0).normal(size=table.shape)
    other = fitting.regression(table + noise, relevant, weight)
    np.testing.assert_allclose(one(table), other(table), atol=1e-4)
    columns = terms(one.standard(table))
    slope = columns.T @ (weight * (one(table) - relevant)) + np.array(one.weights)
    np.testing.assert_allclose(slope, 0, atol=1e-3)


def test_both_answers_count_the_same() -> None:
    found = pd.DataFrame({"kind": list("aaaabbc"), "relevant": [1, 1, 1, 1, 0, 0, 0]})
    weight = fitting.weights(found)
    assert weight[:4].sum() == pytest.approx(3.5) == pytest.approx(weight[4:].sum())
    assert weight[4] + weight[5] == pytest.approx(np.sqrt(2) * weight[6])


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99])
def test_more_recall_lowers_the_threshold_and_is_reached(recall: float) -> None:
    values, weight = np.random.default_rng(0).uniform(size=200), np.ones(200)
    threshold = fitting.threshold(values, weight, recall)
    assert recall <= (values >= threshold).mean() <= recall + 0.01


def test_a_confidence_survives_its_file(
    fitted: tuple[Confidence, pd.DataFrame], tmp_path: Path
) -> None:
    for least in (None, 2.5):
        one = replace(fitted[0], least_agreement=least)
        one.save(tmp_path / "confidence.json")
        assert Confidence.load(tmp_path / "confidence.json") == one
    assert one.disagrees([2.0, 2.9]) and not one.disagrees([2.0, 3.0]) and not one.disagrees([])
    assert not fitted[0].disagrees([-1.0])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("text_top", "other"),
        ('"bias": ', '"bias": "x", "no": '),
        ('"full"', '"half"'),
        ("[", "[1,"),
        ('"least_agreement": 2.5', '"least_agreement": NaN'),
        ('"least_agreement": 2.5', '"least_agreement": [2]'),
    ],
)
def test_a_damaged_confidence_is_refused_by_name(
    fitted: tuple[Confidence, pd.DataFrame], tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "confidence.json"
    replace(fitted[0], least_agreement=2.5).save(path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(EidolonError, match=r"confidence\.json holds no confidence: run `dvc"):
        Confidence.load(path)
    path.unlink()
    with pytest.raises(EidolonError, match=r"confidence\.json is missing"):
        Confidence.load(path)


def test_descriptions_cover_each_category_that_has_their_words() -> None:
    found = texts.descriptions(CATEGORIES, range(len(CATEGORIES)))
    covers = {text.words: (text.kind, text.covers) for text in found}
    assert covers["red star"] == ("described", (0,))
    assert covers["star"] == ("single", (0, 2))
    assert covers["red"] == ("single", (0, 1))
    assert covers["some kind of tulip"] == ("described", (4,))
    assert not covers.keys() & set(CATEGORIES)
    assert "red plain" not in covers  # the last word says what it is


@given(st.lists(st.text(max_size=8).map(names.clean).filter(bool), max_size=4), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_nonsense_can_be_made_for_any_names(listed: list[str], count: int) -> None:
    found = texts.letters([*listed, "rose"], count, random.Random(0))
    assert len(found) == count
    assert all(text.words.strip() and not text.covers for text in found)


def test_foreign_texts_share_no_word_with_a_category() -> None:
    found = [text.words for text in texts.foreign(["accordion", "tax return"])]
    assert "accordion" not in found
    assert "tax return" not in found
    assert len(set(found)) == len(found) > 80


def test_no_text_is_both_fitted_and_measured() -> None:
    params = config.Calibrate(texts=16, recall=0.9, seed=0)
    one, other = stage.texts(CATEGORIES, [0, 1, 4], [2, 3], params)
    assert not {text.words for text in one} & {text.words for text in other}
    assert {text.kind for text in one} == {text.kind for text in other}
    assert all(len([t for t in one if t.kind == kind]) <= 8 for kind in {t.kind for t in one})


def test_precision_and_recall_are_those_of_the_threshold() -> None:
    found = pd.DataFrame(
        {
            "kind": ["known"] * 4 + ["letters"] * 4,
            "relevant": [1] * 4 + [0] * 4,
            "full": [0.9, 0.8, 0.7, 0.1, 0.75, 0.2, 0.1, 0.1],
        }
    )
    figures = report.summary(found, "full", 0.6)
    assert figures["recall"] == figures["precision"] == 0.75
    assert figures["kinds"]["known"]["right"] == figures["kinds"]["letters"]["right"] == 0.75
    assert figures["auc"] == figures["kinds"]["letters"]["auc"] == 0.75
    assert "precision" not in figures["kinds"]["known"]
    assert report.lines({"full": figures})[0].startswith("full: threshold 0.600")


def test_one_answer_alone_leaves_out_what_cannot_be_measured() -> None:
    found = pd.DataFrame({"kind": ["letters"], "relevant": [0], "full": [0.1]})
    figures = report.summary(found, "full", 0.6)
    assert "auc" not in figures
    assert figures["kinds"]["letters"] == {"texts": 1, "right": 1.0}


@pytest.mark.numeric
def test_the_stage_fits_and_measures_the_toy(in_toy: Path, tmp_path: Path) -> None:
    params = config.load()
    few = params.calibrate.model_copy(update={"texts": 4})
    out = tmp_path / "confidence"
    metrics = stage.calibrate(params.model_copy(update={"calibrate": few}), out=out)
    assert metrics.keys() == {"full", "text", "flat", "agreement"}
    assert {"known", "known_removed", "letters"} <= metrics["full"]["kinds"].keys()
    confidence = Confidence.load(out / "confidence.json")
    rows = pd.read_csv(out / "measured.csv")
    for row, value in zip(rows[list(FEATURES)].to_numpy(), rows["full"], strict=True):
        assert confidence(row)[0] == value
    first = (out / "confidence.json").read_text()
    stage.calibrate(params.model_copy(update={"calibrate": few}), out=out)
    assert (out / "confidence.json").read_text() == first
    assert (out / "confidence.png").stat().st_size > 1000
