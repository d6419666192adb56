"""Ranking from a bundle: known and new texts, pages, filters, near-duplicates, odd input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components import config
from components.errors import QueryError
from components.index import engines, qdrant
from components.index.server import Server
from components.paths import BUNDLE
from components.serving import loading
from components.serving import retriever as module
from components.serving.exclusion import beyond, parted
from components.serving.near_duplicates import NearDuplicates
from components.serving.retriever import How, Retriever
from components.serving.spelling import Spelling, one_slip
from tests.toy import NAMES


@pytest.fixture(scope="module")
def retriever(built_toy: Path) -> Retriever:
    params = config.load(built_toy / "params.yaml")
    return Retriever(loading.load(built_toy / BUNDLE), params.encoders)


@pytest.mark.numeric
def test_a_known_category_is_corrected_for_hubness_and_a_new_text_is_not(
    retriever: Retriever,
) -> None:
    known = retriever.ask("Red  Plain Star")
    assert known.row == NAMES.index("red plain star") or known.row is not None
    corrected = retriever.rank(known, retriever.bundle.aggregated[known.row], How(k=3)).hits
    assert [h.score for h in corrected] == sorted((h.score for h in corrected), reverse=True)
    assert any(hit.hubness for hit in corrected)
    new = retriever.ask("a purple zebra")
    assert new.row is None
    every = retriever.rank(new, None, How(k=100))
    assert {hit.hubness for hit in every.hits} == {0.0}
    assert len(every.hits) == every.total == len(retriever.bundle.pictures)
    for hit in (*corrected, *every.hits):
        for score in (hit.score, hit.text_score, hit.image_score, hit.hubness):
            assert len(str(abs(score)).split("e")[0].split(".")[-1]) <= 6


def test_shares_of_imagined_pictures_sum_to_one(retriever: Retriever) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 7):
        vision = rng.normal(size=(count, retriever.bundle.imagined.shape[2])).astype(np.float32)
        aggregated, shares = retriever.aggregate(vision)
        assert np.isclose(np.linalg.norm(aggregated), 1, atol=1e-5)
        assert len(shares) == count and sum(shares) == pytest.approx(1, abs=1e-5)
        assert min(shares) >= 0


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    k=st.integers(1, 40),
    offset=st.integers(0, 40),
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True),
    weight=st.floats(0, 1),
)
def test_a_page_is_a_part_of_the_filtered_ranking(
    retriever: Retriever, k: int, offset: int, names: list[str], weight: float
) -> None:
    asked = retriever.ask("a blue thing")
    aggregated = retriever.bundle.aggregated[0]
    whole = retriever.rank(asked, aggregated, How(k=1000, fusion_weight=weight)).hits
    wanted = [hit for hit in whole if hit.category in names]
    how = How(k, offset, weight, {"category": names})
    page = retriever.rank(asked, aggregated, how)
    assert page.total == len(wanted)
    assert [hit.id for hit in page.hits] == [hit.id for hit in wanted[offset : offset + k]]
    assert [hit.rank for hit in page.hits] == list(range(offset + 1, offset + 1 + len(page.hits)))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=st.text(max_size=400))
def test_any_text_is_ranked_or_refused_in_one_sentence(retriever: Retriever, query: str) -> None:
    try:
        asked = retriever.ask(query)
    except QueryError as error:
        assert "1 to 300 characters" in str(error)
        return
    ranking = retriever.rank(asked, None, How(k=5))
    assert len(ranking.hits) == 5
    assert all(np.isfinite(hit.score) for hit in ranking.hits)
    assert 0 <= ranking.confidence <= 1


def test_near_duplicates_are_one_hit(retriever: Retriever, built_toy: Path) -> None:
    bundle = retriever.bundle
    groups = NearDuplicates(bundle)
    rows = list(range(len(bundle.pictures)))
    assert [group.row for group in groups.groups(rows)] == rows  # all differ
    twice = groups.groups([3, 5, 3, 3, 5, 8])  # a copy of a picture is as near as can be
    assert [(group.row, group.count) for group in twice] == [(3, 3), (5, 2), (8, 1)]
    page = retriever.rank(retriever.ask("star"), None, How(k=4, offset=2, group=True))
    assert [hit.rank for hit in page.hits] == [3, 4, 5, 6]
    assert page.total == len(rows)
    with pytest.raises(QueryError, match="with group, offset is less than 2000, not 2000"):
        retriever.rank(retriever.ask("star"), None, How(k=1, offset=2000, group=True))


def test_the_pages_of_groups_end_where_total_says(
    retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a gallery that is larger than what is grouped."""
    monkeypatch.setattr(module, "DEEPEST", 10)
    for k in (3, 10, 24):
        pages = [
            retriever.rank(retriever.ask("star"), None, How(k, offset, group=True))
            for offset in range(0, 10, k)
        ]
        assert {page.total for page in pages} == {10}
        assert [hit.rank for page in pages for hit in page.hits] == list(range(1, 11))
    few, total = retriever.similar(
        retriever.bundle.gallery.vision[0], How(filter={"category": NAMES[0]}, group=True)
    )
    assert len(few) == total == 4


def test_filters_name_what_there_is(retriever: Retriever) -> None:
    asked = retriever.ask("star")
    assert retriever.columns[:2] == ["category", "source"] or "split" in retriever.columns
    with pytest.raises(QueryError, match=r"no column 'colour', only .*category"):
        retriever.rank(asked, None, How(filter={"colour": "red"}))
    with pytest.raises(QueryError, match="no picture has the category 'fox'"):
        retriever.rank(asked, None, How(filter={"category": ["fox"]}))
    with pytest.raises(QueryError, match="the gallery has no picture"):
        retriever.row_of("nothing.png")


def test_an_excluded_text_keeps_what_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    query, excluded = rng.normal(size=(2, 16)).astype(np.float32)
    left = beyond(excluded, query)
    assert abs(left @ query) < 1e-5
    np.testing.assert_allclose(beyond(query * 3, query), 0, atol=1e-5)
    assert np.isfinite(beyond(excluded, np.zeros_like(query))).all()


@pytest.mark.parametrize(
    ("query", "wanted", "excluded"),
    [
        ("star without stripes", "star", "stripes"),
        ("red star, but not  dotted ", "red star", "dotted "),
        ("a ring that is not\nblue", "a ring", "blue"),
        ("Birds EXCEPT for gulls", "Birds", "gulls"),
        ("a star with no pattern", "a star", "pattern"),
        ("a star, not red", "a star", "red"),
        ("red star not striped", "red star", "striped"),
        ("a ring NOT in blue ", "a ring", "in blue"),
        ("Who, me, not him", "Who, me", "him"),
        ("forget me not", "forget me not", None),
        ("forget me not flowers", "forget me not flowers", None),
        ("striped or not striped", "striped or not striped", None),
        ("a do not enter sign", "a do not enter sign", None),
        ("a touch-me-not plant", "a touch-me-not plant", None),
        ("red, not only red", "red, not only red", None),
        ("not red", "not red", None),
        ("waste not want not", "waste not want not", None),
        ("without stripes", "without stripes", None),
        ("star without", "star without", None),
        ("star without !", "star without !", None),
    ],
)
def test_a_query_is_split_at_words_that_exclude(
    query: str, wanted: str, excluded: str | None
) -> None:
    assert parted(query) == (wanted, excluded)


@given(st.text(max_size=80))
def test_any_query_is_split_into_parts_of_itself(query: str) -> None:
    wanted, excluded = parted(query)
    assert wanted in query and (excluded is None or excluded in query)


def test_a_wrong_text_to_exclude_is_named(retriever: Retriever) -> None:
    for text in ("", " ", "x" * 301):
        with pytest.raises(QueryError, match="a text to `exclude` has 1 to 300 characters"):
            retriever.exclusion([text])
    name = retriever.bundle.categories["category"][0]
    assert np.array_equal(retriever.exclusion([name]), retriever.bundle.text[0])
    assert np.array_equal(retriever.exclusion(["a", "moon"]), retriever.embed("a moon"))


def test_only_the_mere_name_of_a_category_needs_no_encoder(retriever: Retriever) -> None:
    name = retriever.bundle.categories["category"][0]
    assert not retriever.embeds(f" {name.upper()}", None)
    assert not retriever.embeds(f"{name} without dots", None)
    assert retriever.embeds(name, "a red thing") and retriever.embeds("a moon", None)
    assert retriever.embeds("a " * 5000, None)  # long, and quickly seen


def test_the_name_of_a_category_excludes_nothing(retriever: Retriever) -> None:
    name = retriever.bundle.categories["category"][0]
    assert retriever.ask_by(name, "class", None).excluded is None
    asked = retriever.ask_by(f"{name} without dots", "class", None)
    assert (asked.row, asked.excluded, asked.query) == (0, "dots", f"{name} without dots")
    slip = retriever.ask_by("red plian star except dots", "class", None)
    assert slip.suggestion == "red plain star without dots"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("red stripped star", "red striped star"),
        ("Teal DOTED heart", "teal dotted heart"),
        ("bleu ring", "blue ring"),
        ("rin", None),
        ("red striped star", None),
        ("a purple zebra", None),
        ("spotted stripy stars", "spotted stripy star"),
        ("xy", None),
        ("", None),
        ("plain, a star!", None),
        ("plain, a stra!", "plain, a star!"),
    ],
)
def test_a_word_that_is_nearly_one_of_a_name_is_suggested(text: str, meant: str | None) -> None:
    assert Spelling(NAMES).suggest(text) == meant


@given(st.text("abc", min_size=4, max_size=7), st.integers(0, 6), st.sampled_from("abcd"))
def test_one_slip_is_found_in_both_directions(word: str, at: int, letter: str) -> None:
    slips = {
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
    }
    for slip in slips - {word}:
        assert one_slip(word, slip) and one_slip(slip, word)
    assert not one_slip(word, word)
    assert not one_slip(word, f"{word}xy") and not one_slip(word, f"xy{word[2:]}")


def test_an_index_server_ranks_as_the_bundle_does(
    retriever: Retriever, built_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages, filters, near-duplicates, confidence and similar pictures are the same."""
    monkeypatch.setenv(qdrant.URL, ":memory:")
    qdrant.connect.cache_clear()
    shutil.copytree(built_toy / BUNDLE, tmp_path / "bundle")
    gallery, params = retriever.bundle.gallery, config.load(built_toy / "params.yaml")
    index = Server.of(gallery.clip, gallery.vision, "toy", gallery.hubness, 0.5)
    index.save(tmp_path / "bundle" / engines.FILE)
    served = Retriever(loading.load(tmp_path / "bundle"), params.encoders)
    split = {"split": str(retriever.bundle.pictures["split"][0])}
    for how in (How(k=5), How(k=5, offset=3), How(k=50, filter=split), How(k=4, group=True)):
        for text in ("red plain star", "a purple zebra"):
            one, other = retriever.ask(text), served.ask(text)
            by = None if one.row is None else retriever.bundle.aggregated[one.row]
            expected, found = retriever.rank(one, by, how), served.rank(other, by, how)
            assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
            assert found.confidence == pytest.approx(expected.confidence, abs=1e-5)
            assert found.total == expected.total
    vector = gallery.vision[3]
    alike = [hit.id for hit in served.similar(vector, How(k=6), but=3)[0]]
    assert alike == [hit.id for hit in retriever.similar(vector, How(k=6), but=3)[0]]
    qdrant.connect.cache_clear()
