"""An interval has the coverage that it claims, and is left out where it would not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import config
from components.learning.intervals import DIGITS, Estimate, bootstrap, harmonic
from tests.toy import ROOT

LEAST = config.load(ROOT / "profiles" / "embedded.yaml").evaluate.min_categories


def estimate(values: np.ndarray, least: int = 2, seed: int = 0) -> Estimate:
    return bootstrap(values, samples=1000, seed=seed, least=least)


def test_the_interval_is_seeded_and_holds_the_mean() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, size=80)
    low, high = estimate(values).interval() or (math.nan, math.nan)
    assert low < values.mean() < high
    assert (low, high) == estimate(values).interval()
    # the 95 % interval of a mean of 80 values is about ±1.96 standard errors
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(80), rel=0.15)


@pytest.mark.parametrize("count", [0, 1, 2, LEAST - 1])
def test_too_few_categories_have_no_interval(count: int) -> None:
    few = estimate(np.linspace(0.2, 0.9, count), LEAST)
    assert few.interval() is None
    assert few.figures() == ({"mean": pytest.approx(few.mean, abs=1e-4)} if count else {})
    assert (few - few).interval() is None
    many = estimate(np.linspace(0.2, 0.9, LEAST), LEAST)
    assert many.interval() is not None
    assert harmonic(many, few).interval() is None


def test_from_the_minimum_on_an_interval_has_its_coverage() -> None:
    """Of 95 % intervals of a known mean, at least 88 % hold it from the minimum on; with two
    categories not even two thirds do."""

    def coverage(count: int) -> float:
        rng, inside = np.random.default_rng(2), 0
        for trial in range(600):
            values = rng.normal(size=count)
            low, high = bootstrap(values, samples=400, seed=trial, least=2).interval() or (0, 0)
            inside += low <= 0 <= high
        return inside / 600

    assert coverage(LEAST) > 0.88
    assert coverage(2) < 0.67


def test_a_value_that_is_missing_is_left_out() -> None:
    values = np.array([0.2, math.nan, 0.4])
    assert estimate(values).mean == pytest.approx(0.3)
    assert estimate(values, least=3).interval() is None


def test_a_difference_is_paired_by_category() -> None:
    """Two rankings that differ by the same amount everywhere have an interval of width zero."""
    values = np.random.default_rng(3).uniform(0, 0.8, size=30)
    low, high = (estimate(values + 0.1) - estimate(values)).interval() or (0, 0)
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.1))


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_harmonic_mean_is_below_the_mean_and_above_the_least(one: float, other: float) -> None:
    a, b = (Estimate(value, np.array([value])) for value in (one, other))
    found = harmonic(a, b)
    assert min(one, other) - 1e-12 <= found.mean <= (one + other) / 2 + 1e-12
    assert found.resampled.tolist() == [found.mean]
    if one + other > 0:
        assert found.mean == pytest.approx(2 * one * other / (one + other))


def test_figures_are_rounded() -> None:
    found = estimate(np.random.default_rng(4).uniform(size=20)).figures()
    assert set(found) == {"mean", "low", "high"}
    assert all(value == round(value, DIGITS) for value in found.values())
