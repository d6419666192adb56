"""Average precision is the published definition, on rankings small enough to do by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.metrics import average_precision, bootstrap_interval, mean_average_precision


def by_the_book(ranked: list[bool]) -> float:
    """A plain loop over the ranks: the definition of the revisited Oxford evaluation."""
    hits, total, positives = 0, 0.0, sum(ranked)
    for rank, hit in enumerate(ranked):
        if hit:
            before = 1.0 if rank == 0 else hits / rank
            hits += 1
            total += (before + hits / (rank + 1)) / 2
    return total / positives


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


def test_bootstrap_interval_is_seeded_and_holds_the_mean() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, size=80)
    low, high = bootstrap_interval(values, samples=1000, seed=0)
    assert low < values.mean() < high
    assert (low, high) == bootstrap_interval(values, samples=1000, seed=0)
    # the 95 % interval of a mean of 80 values is about ±1.96 standard errors
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(80), rel=0.15)
