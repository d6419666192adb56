"""Average precision equals the published definition, on rankings small enough to check by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks import metrics as benchmark
from components.index.blocks import blocks
from components.learning import metrics
from components.learning.metrics import (
    average_precision,
    average_precisions,
    mean_average_precision,
)
from tests.definitions import by_the_book, slow

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [
        ([True, True, False], 1.0),
        ([False, True], (0 + 1 / 2) / 2),
        ([True, False, True], (1.0 + (1 / 2 + 2 / 3) / 2) / 2),
    ],
)
def test_average_precision_by_hand(ranked: list[bool], expected: float) -> None:
    scores = -np.arange(len(ranked), dtype=np.float32)
    assert average_precision(scores, np.array(ranked)) == pytest.approx(expected)


@given(st.lists(st.booleans(), min_size=1, max_size=60).filter(any), st.randoms())
def test_average_precision_equals_the_loop(ranked: list[bool], random: object) -> None:
    scores = -np.arange(len(ranked), dtype=np.float64)
    order = np.random.default_rng(0).permutation(len(ranked))  # the gallery's order is irrelevant
    found = average_precision(scores[order], np.array(ranked)[order])
    assert found == pytest.approx(by_the_book(ranked), abs=1e-12)
    assert 0 < found <= 1


def test_equal_scores_keep_the_order_of_the_gallery() -> None:
    scores = np.zeros(4)
    first = average_precision(scores, np.array([True, False, False, False]))
    last = average_precision(scores, np.array([False, False, False, True]))
    assert (first, last) == (1.0, pytest.approx(1 / 8))


def test_queries_without_positives_are_left_out() -> None:
    scores = np.array([[2.0, 1.0], [2.0, 1.0]])
    positive = np.array([[True, False], [False, False]])
    assert math.isnan(average_precision(scores[1], positive[1]))
    assert mean_average_precision(scores, positive) == 1.0


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (Q, N) of many kinds, two sets of positives (2, Q, N) and junk that may overlap."""
    queries, gallery = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    shape, dtype = (queries, gallery), draw(st.sampled_from([np.float16, np.float32, np.float64]))
    values = draw(
        st.sampled_from(
            [
                st.integers(-2, 2).map(float),  # ties
                st.sampled_from([0.0, -0.0, 5e-324, 1e-30, -1e-30]),  # close to zero
                st.sampled_from([1.0, np.nextafter(dtype(1), dtype(2)), 1e4, -6e4]),  # far apart
                st.sampled_from([-np.inf, 0.25, 0.5]),
                hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
            ]
        )
    )
    scores = draw(hnp.arrays(dtype, shape, elements=values.map(dtype), fill=st.nothing()))
    positive = draw(hnp.arrays(np.bool_, (2, *shape))) & np.isfinite(scores)
    return scores, positive, draw(hnp.arrays(np.bool_, shape)) & np.isfinite(scores)


@given(rankings())
@settings(max_examples=150, deadline=None)
def test_every_ranking_equals_the_definition(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scores, positive, junk = case
    with np.errstate(over="ignore"):
        found = average_precisions(scores, positive, junk)
        plain = average_precisions(scores, positive[0])
    for q, row in enumerate(scores):
        for s in range(2):
            expected = slow(row, positive[s, q], junk[q])
            assert found[s, q] == pytest.approx(expected, abs=1e-12, nan_ok=True)
        expected = slow(row, positive[0, q], np.zeros_like(junk[q]))
        assert plain[q] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [None, 200, 1])
def test_a_large_gallery_equals_a_stable_sort(
    dtype: type, levels: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random scores, a few hundred distinct ones, all equal; by several threads."""
    monkeypatch.setattr(metrics, "_LONG", 1)
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(6, 20_000)).astype(dtype)
    if levels is not None:
        scores = np.round(scores * levels / 8) / levels
    positive = rng.random(scores.shape) < 0.01
    found = average_precisions(scores, positive)
    for q in range(len(scores)):
        ranked = positive[q][np.argsort(-scores[q], kind="stable")]
        assert found[q] == pytest.approx(by_the_book(ranked.tolist()), abs=1e-12)


def test_junk_is_taken_out_of_the_ranking_and_positives_win() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 2.0, 1.0]])
    positive = np.array([[False, False, True, False, True]])
    junk = np.array([[True, False, True, False, False]])
    found = average_precisions(scores, positive, junk)  # the remaining ranking: no, yes, no, yes
    assert found[0] == pytest.approx(by_the_book([False, True, False, True]))


def test_no_queries_and_no_gallery_have_no_mean() -> None:
    for shape in ((0, 5), (3, 0), (0, 0)):
        empty = np.zeros(shape, dtype=np.float32)
        assert average_precisions(empty, empty > 0).shape == shape[:1]
        assert math.isnan(mean_average_precision(empty, empty > 0))


def test_scores_that_are_not_numbers_are_refused() -> None:
    scores, positive = np.array([[0.5, np.nan, 0.1]]), np.array([[True, False, False]])
    with pytest.raises(ValueError, match="must be numbers"):
        average_precisions(scores, positive)
    with pytest.raises(ValueError, match="must be numbers"):
        average_precisions(np.array([[0.5, np.inf]]), np.array([[False, True]]))


def test_the_loops_that_the_benchmark_times_are_the_definition() -> None:
    gallery, texts, classes = benchmark.world(400, 8)
    scores, positive = texts @ gallery.T, classes == np.arange(8)[:, None]
    assert np.unique(scores).size == scores.size  # the authors' sort may swap equal scores
    found = average_precisions(scores, positive)
    np.testing.assert_allclose(benchmark.definition(scores, positive), found, atol=1e-12)
    np.testing.assert_allclose(benchmark.authors(scores.T, positive), found, atol=1e-12)
    for row, hit, ap in zip(scores, positive, found, strict=True):
        assert ap == pytest.approx(slow(row, hit, np.zeros_like(hit)), abs=1e-12)


def test_blocks_cover_the_queries_and_bound_the_scores() -> None:
    assert list(blocks(0, 10)) == []
    slices = list(blocks(1000, 1_000_000))
    assert [row for part in slices for row in range(1000)[part]] == list(range(1000))
    assert max(len(range(1000)[part]) for part in slices) * 1_000_000 * 4 <= 2**27
    assert list(blocks(3, 2**30)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
