"""Descriptions of categories: the files they come in, and the queries that are made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components import config, descriptions
from components.datasets import emblem_words
from components.datasets.described import described
from components.datasets.emblems import emblems
from components.datasets.source import source
from components.errors import EidolonError
from components.features.features import Features
from components.features.queries import Queries, combined
from components.imagining.recipes import wanted
from components.kinds import BOTH, CLASS, DESCRIPTION
from components.learning.aggregator import Aggregator
from components.learning.selection import calibrate
from components.serving.known import known_query, texts_of
from components.serving.loading import load
from tests import planted, toy
from zoo.pictures import corpus

BIRDS = ("black footed albatross", "painted bunting", "Brandt cormorant")


def of(path: Path | str | None, most: int = 10) -> config.Dataset:
    """The section `dataset` with descriptions from ``path``."""
    base = config.load().dataset
    return base.model_copy(update={"descriptions": path, "descriptions_per_category": most})


def texts(path: Path, categories: tuple[str, ...] = BIRDS, most: int = 10) -> dict[str, list[str]]:
    return descriptions.grouped(described(categories, of(path, most)))


def test_json_with_a_list_or_one_text_for_each_category(tmp_path: Path) -> None:
    file = tmp_path / "texts.json"
    given = {"Painted Bunting": [" a blue  head ", "a blue head", "a red belly"], "crow": "black"}
    file.write_text(json.dumps(given))
    assert texts(file) == {"painted bunting": ["a blue head", "a red belly"]}


def test_a_csv_has_a_row_for_each_text(tmp_path: Path) -> None:
    file = tmp_path / "texts.csv"
    file.write_text('category,text\nbrandt cormorant,"long, black"\nbrandt cormorant,a hook\n')
    assert texts(file) == {"Brandt cormorant": ["long, black", "a hook"]}


@pytest.mark.parametrize(
    ("folder", "category"),
    [("001.Black_footed_Albatross", BIRDS[0]), ("class_00002", "hard-leaved pocket orchid")],
)
def test_the_captions_of_reed_et_al(tmp_path: Path, folder: str, category: str) -> None:
    place = tmp_path / "text_c10" / folder
    place.mkdir(parents=True)
    for i in range(4):
        (place / f"image_{i}.txt").write_text(f"first of {i}\n\nsecond of {i}\n")
    found = texts(place.parent, tuple({*BIRDS, category}), most=4)
    assert found == {category: ["first of 0", "first of 1", "first of 2", "first of 3"]}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "[1", "has no descriptions"),
        ("a.json", '["a text"]', "no JSON object"),
        ("a.json", '{"painted bunting": [1]}', "neither a text nor a list"),
        ("a.json", '{"painted bunting": [" "]}', "has no descriptions"),
        ("a.csv", "category\nx\n", "text"),
        ("a.json", '{"crow": "black"}', "describes none of the dataset's categories"),
    ],
)
def test_a_file_without_descriptions_is_one_sentence(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(EidolonError, match=reason):
        texts(tmp_path / name)


def test_changed_descriptions_make_the_dataset_again(tmp_path: Path) -> None:
    file, record = tmp_path / "texts.json", tmp_path / "source.json"
    params = of(file)
    with pytest.raises(EidolonError, match=r"dataset\.descriptions .* does not exist"):
        source(params, record, tmp_path / "hashes")
    file.write_text("{}")
    source(params, record, tmp_path / "hashes")
    before = record.read_text()
    file.write_text('{"a": "b"}')
    source(params, record, tmp_path / "hashes")
    assert record.read_text() != before
    file.unlink()
    assert "stays as recorded" in source(params, record, tmp_path / "hashes")


def test_no_embedded_model_was_trained_on_a_description_of_an_emblem() -> None:
    captions = "\n".join(corpus())
    for emblem in emblems():
        for text in emblem_words.descriptions(emblem.colour, emblem.pattern, emblem.shape):
            assert text not in captions and emblem.name not in text


def test_descriptions_take_turns_and_have_numbers_of_their_own() -> None:
    params = config.load().generator.model_copy(update={"images_per_category": 3})
    found = wanted(params, ["a", "b"], {"b": ["x", "y"]})
    assert [(w.category, w.k, w.kind) for w in found[-3:]] == [
        ("b", 3, DESCRIPTION),
        ("b", 4, DESCRIPTION),
        ("b", 5, DESCRIPTION),
    ]
    assert [w.prompt for w in found[-3:]] == ["x", "y", "x"]
    assert [w for w in found if w.kind == CLASS] == wanted(params, ["a", "b"])


def with_descriptions(some: int) -> Features:
    """Planted features whose first ``some`` categories are described like their names."""
    found = planted.features()
    rows = np.arange(len(found.categories)) < some
    queries = Queries(
        found.text * rows[:, None], found.imagined.copy(), found.accepted & rows[:, None]
    )
    return replace(found, described=queries)


def test_both_takes_half_of_each() -> None:
    one, other = (
        Queries(np.full((2, 3), v, "f4"), np.full((2, 5, 4), v, "f4"), np.ones((2, 5), bool))
        for v in (1, 3)
    )
    other.text[1] = 0
    found = combined(one, other)
    assert found.text.tolist() == [[2, 2, 2], [0, 0, 0]]
    assert found.imagined[0, :, 0].tolist() == [1, 1, 1, 3, 3]
    assert found.exist.tolist() == [True, False] and not found.accepted[1].any()


def test_features_keep_their_descriptions(tmp_path: Path) -> None:
    found = with_descriptions(3)
    found.save(tmp_path)
    again = Features.load(tmp_path)
    assert again.kinds == (CLASS, DESCRIPTION, BOTH)
    assert again.of(DESCRIPTION).asked().sum() == 3
    assert again.of(CLASS).described is None and again.of(CLASS).kinds == (CLASS,)
    planted.features().save(tmp_path)
    assert Features.load(tmp_path).kinds == (CLASS,)


def test_lambda_is_chosen_by_all_kinds_of_query() -> None:
    found = with_descriptions(10**6)
    assert found.described is not None
    model = Aggregator(planted.DIM)
    model.start_at_mean()
    named, _ = calibrate(model, found.of(CLASS), (0.0, 1.0))
    other = 1.0 - named  # what is imagined of descriptions, or their texts, are worth nothing
    rng = np.random.default_rng(0)
    worse = "imagined" if named == 1.0 else "text"
    noise = rng.normal(size=getattr(found.described, worse).shape).astype(np.float32)
    spoilt = Queries(**(vars(found.described) | {worse: noise}))
    chosen, best = calibrate(model, replace(found, described=spoilt), (0.0, 1.0))
    _, alone = calibrate(model, found.of(CLASS), (0.0, 1.0))
    assert chosen in (named, other) and best < alone


def test_the_bundle_answers_by_description_where_it_has_one(in_toy: Path) -> None:
    bundle = load(in_toy / "artifacts" / "bundle")
    names = bundle.categories["category"].tolist()
    row = names.index("red plain star")
    assert texts_of(bundle, row) == toy.DESCRIPTIONS["red plain star"]
    named, told, both = (known_query(bundle, row, kind) for kind in (CLASS, DESCRIPTION, BOTH))
    assert named and told and both
    np.testing.assert_allclose(both.text, (named.text + told.text) / 2, atol=1e-6)
    assert [p.address for p in both.pictures] == [
        named.pictures[0].address,
        told.pictures[0].address,
    ]
    assert {p.address for p in named.pictures}.isdisjoint(p.address for p in told.pictures)
    for picture in told.pictures:
        assert bundle.picture(picture.path)
    assert known_query(bundle, names.index("red plain ring"), DESCRIPTION) is None
    assert bundle.described is not None
    queries = combined(Queries(bundle.text, bundle.imagined, bundle.accepted), bundle.described)
    stacked = np.stack([p.vision for p in both.pictures])
    np.testing.assert_array_equal(stacked, queries.imagined[row][queries.accepted[row]])
