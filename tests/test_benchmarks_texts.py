"""Free texts as a benchmark: their labels, their figures, and one run on a served toy Bento."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import marked, texts
from benchmarks.rankings import MEASURES, MODES, Figures, Measured, figures
from benchmarks.wordings import KINDS, LANGUAGES, MARKINGS, WORDS, Wording, misspelled, wordings
from components import config
from components.api.client import Client
from components.datasets.emblems import COLOURS, PATTERNS, SHAPES, Emblem, emblems, splits
from components.learning.metrics import average_precision
from tests.toy import NAMES
from zoo.pictures import SYNONYMS

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving"]

ALL = [one.name for one in emblems()]
UNSEEN = [one.name for one, split in splits().items() if split == "unseen"]
FITTED = {"red star", "striped heart"}
RULES = config.Evaluate(bootstrap=200, min_categories=10, seed=0)
MADE = wordings([*ALL, "a stapler"], UNSEEN, FITTED, 64, 0)
MEANT = {other: word for word, others in SYNONYMS.items() for other in others}
MARKED = {marking: pattern for pattern, marking in MARKINGS.items()}


def of(kind: str) -> list[Wording]:
    return [one for one in MADE if one.kind == kind]


def having(*words: str) -> set[str]:
    """The names of all categories with these words."""
    return {name for name in ALL if set(words) <= set(name.split())}


def test_there_are_as_many_texts_of_each_kind_as_asked_for() -> None:
    found = Counter(one.kind for one in MADE)
    assert list(found) == list(KINDS)
    assert found.pop("several categories: dotted star") == 39  # of 40, without a fitted one
    assert set(found.values()) == {64}
    assert len({(one.text, one.exclude) for one in MADE}) == len(MADE)
    few = wordings(ALL, UNSEEN, FITTED, 3, 0)
    assert set(Counter(one.kind for one in few).values()) == {3}


def test_the_seed_chooses_the_texts() -> None:
    assert wordings([*ALL, "a stapler"], UNSEEN, FITTED, 64, 0) == MADE
    other = wordings([*ALL, "a stapler"], UNSEEN, FITTED, 64, 1)
    assert {one.text for one in other} != {one.text for one in MADE}


def test_no_text_was_fitted_to_and_only_the_control_names_a_category() -> None:
    assert "red star" in {one.text for one in wordings(ALL, UNSEEN, (), 200, 0)}
    assert not FITTED & {one.text for one in wordings(ALL, UNSEEN, FITTED, 200, 0)}
    assert {one.kind for one in MADE if one.text in ALL} == {"names of categories (control)"}
    assert {one.text for one in of("names of categories (control)")} <= set(UNSEEN)


def test_texts_of_several_categories_cover_those_with_their_words() -> None:
    for one in of("several categories: red star"):
        assert one.right == having(*one.text.split()) and len(one.right) == len(PATTERNS)
    for one in of("several categories: dotted star"):
        assert one.right == having(*one.text.split()) and len(one.right) == len(COLOURS)


def test_texts_of_several_objects_cover_both() -> None:
    for one in of("several objects"):
        first, second = one.text.split(" and ")
        assert one.right == having(*first.split()) | having(*second.split())
        assert len(one.right) == 8


def test_negated_texts_cover_the_rest() -> None:
    for one in of("negation in words"):
        words = one.text.replace(" that is not ", " without ").split(" without ")
        thing, (absent,) = words[0].split(), words[1].split()
        assert one.right == having(*thing) - having(MARKED.get(absent, absent))


def test_an_excluded_category_is_unseen() -> None:
    for one in of("negation by `exclude`"):
        assert one.exclude in PATTERNS
        (gone,) = having(*one.text.split(), one.exclude)
        assert gone in UNSEEN and one.right == having(*one.text.split()) - {gone}


def test_synonyms_mean_one_unseen_category() -> None:
    for one in of("synonyms"):
        words = one.text.split()
        assert one.right == having(*(MEANT.get(word, word) for word in words))
        assert one.right <= set(UNSEEN) and any(word in MEANT for word in words)


def test_misspelled_texts_differ_in_one_word() -> None:
    for one in of("misspellings"):
        (name,) = one.right
        assert name in UNSEEN
        pairs = list(zip(one.text.split(), name.split(), strict=True))
        ((wrong, _),) = [pair for pair in pairs if pair[0] != pair[1]]
        assert wrong not in WORDS


@given(st.sampled_from([*COLOURS, *PATTERNS, *SHAPES]), st.integers(0, 1000))
def test_a_misspelled_word_has_one_slip(word: str, seed: int) -> None:
    found = misspelled(word, random.Random(seed))
    assert found not in WORDS and abs(len(found) - len(word)) <= 1
    differ = [i for i, (a, b) in enumerate(zip(word, found, strict=False)) if a != b]
    if len(found) == len(word):
        assert len(differ) == 1 or sorted(found) == sorted(word)
    else:
        short, long = sorted((word, found), key=len)
        assert any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def test_right_for_unknown_words_is_what_fits_the_known_ones() -> None:
    for one in of("unknown words"):
        known, unknown = one.text.split()
        assert one.right == having(known) and unknown not in WORDS


def test_other_scripts_are_about_a_colour_and_a_shape() -> None:
    meant: dict[str, set[str]] = {}
    for colours, shapes, form in LANGUAGES:
        for colour, word in zip(COLOURS, colours.split(), strict=True):
            for shape, noun in shapes.items():
                meant[form.format(word, noun)] = having(colour, shape)
    for one in of("other scripts"):
        assert not one.text.isascii() and one.right == meant[one.text]


def test_every_label_names_an_emblem() -> None:
    assert all(Emblem.parse(name) for one in MADE for name in one.right)


def test_figures_by_hand() -> None:
    found = figures([True, False, True], 30)
    assert found["mAP"] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert found["nDCG@10"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3)))
    assert found["recall@20"] == 1
    assert figures([*[False] * 20, True], 30)["recall@20"] == 0
    assert all(math.isnan(value) for value in figures([], 30).values())


def test_pictures_without_a_mark_are_no_fault() -> None:
    found = marked.condensed([None, True, None, False, None], 30)
    assert (found["mAP"], found["nDCG@10"], found["recall@20"]) == (1, 1, 1)
    late = marked.condensed([*[None] * 20, True, False], 30)
    assert (late["mAP"], late["recall@20"]) == (1, 0)
    one_sided = marked.condensed([None, True], 30)
    assert math.isnan(one_sided["mAP"]) and one_sided["recall@20"] == 1


def test_marks_of_pictures_that_are_gone_do_not_count() -> None:
    rows = [("a star", "p1", "1"), ("a star", "gone", "0"), ("a ring", "p2", "0")]
    marks = pd.DataFrame(rows, columns=["query", "pixels", "right"])
    found = marked.judged(marks, {"p1": "gallery/1.png", "p2": "gallery/2.png"})
    assert found == [marked.Judged("a star", {"gallery/1.png": True})]


def one(gain: float, said: bool) -> Measured:
    def of(value: float) -> Figures:
        return dict.fromkeys(MEASURES, value)

    values = {mode: of(0.5) for mode in MODES} | {"fused": of(0.5 + gain)}
    return Measured("kind", "text", values, "fused", False, not said, ())


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        ([one(0.1, False)] * 20, texts.BEATS),
        ([one(0.1, True)] * 20, texts.BEATS),
        ([*[one(-0.4, True)] * 20, *[one(0.1, False)] * 20], texts.SAYS),
        ([one(-0.1, True)] * 20, texts.SAYS),
        ([*[one(-0.1, True)] * 18, *[one(-0.1, False)] * 2], texts.NEITHER),
        ([one(0.0, False)] * 20, texts.NEITHER),
        ([one(0.1, False)] * 2, texts.FEW),
    ],
)
def test_what_holds_of_a_kind(found: list[Measured], holds: str) -> None:
    assert texts.summary(found, RULES)["holds"] == holds


def test_unknown_words_count_as_said() -> None:
    assert replace(one(0.0, False), unknown=("sprocket",)).said
    found = texts.summary([replace(one(0.0, False), unknown=("sprocket",))], RULES)
    shares = ("not_relevant", "unknown_words", "no_better", "said_of_no_better")
    assert [found[name] for name in shares] == [0, 1, 1, 1]


@pytest.fixture(scope="module")
def toy(served: Served) -> Iterator[Client]:
    """A client of the served toy Bento, in the toy project."""
    with chdir(served.project), Client(served.url) as client:
        yield client


@pytest.mark.slow
def test_the_benchmark_measures_what_a_served_bento_answers(toy: Client, tmp_path: Path) -> None:
    found = texts.made(toy, 2, 0)
    assert {one.kind for one in found} <= {*KINDS, "misspellings, as suggested"}
    assert {"several objects", "other scripts"} <= {each.kind for each in found}
    for each in found:
        values = [each.figures[mode][measure] for mode in MODES for measure in MEASURES]
        assert all(0 <= value <= 1 for value in values)
        if each.kind == "other scripts":
            assert each.mode == "text" and each.unknown and each.said
            assert each.figures["auto"] == each.figures["text"]
    told = texts.report(found, config.load().evaluate)
    texts.write(tmp_path / "texts.json", told)
    kept = json.loads((tmp_path / "texts.json").read_text(), parse_constant=pytest.fail)
    assert [row["text"] for row in kept["texts"]] == [each.text for each in found]
    assert sum(kind["texts"] for kind in kept["kinds"].values()) == len(found)


@pytest.mark.slow
def test_text_alone_is_as_the_bundle_gives_it_offline(toy: Client) -> None:
    from components.paths import BUNDLE
    from components.serving.loading import load
    from components.serving.retriever import Retriever

    params = config.load()
    retriever = Retriever(load(BUNDLE), params.encoders)
    pictures = retriever.bundle.pictures["category"]
    right = frozenset(name for name in NAMES if name.endswith("star"))
    (found,) = texts.asked(toy, [Wording("", "any star", right)])
    scores = retriever.bundle.gallery.clip @ retriever.ask("any star").vector
    expected = average_precision(scores, pictures.isin(right).to_numpy())
    assert found.figures["text"]["mAP"] == pytest.approx(expected)
    assert not np.isnan(found.figures["image"]["mAP"])


@pytest.mark.slow
def test_marks_of_people_are_measured_by_the_same_command(toy: Client, tmp_path: Path) -> None:
    from components import manifest, tables
    from components.paths import DATASET

    pictures = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    gallery = pictures[pictures["subset"] == "gallery"]
    rows = [
        (query, pixels, str(int("star" in category)), "2026-01-01T00:00:00+00:00")
        for query in ("any star", NAMES[0])
        for pixels, category in zip(gallery["pixels"], gallery["category"], strict=True)
    ]
    columns = ["query", "pixels", "right", "time"]
    tables.write(tmp_path / "marks.csv", pd.DataFrame(rows, columns=columns))
    found = {each.text: each for each in texts.people(toy, tmp_path / "marks.csv")}
    assert found["any star"].kind == marked.OTHER and found[NAMES[0]].kind == marked.NAME
    right = frozenset(name for name in NAMES if name.endswith("star"))
    (same,) = texts.asked(toy, [Wording("", "any star", right)])
    assert found["any star"].figures == same.figures
