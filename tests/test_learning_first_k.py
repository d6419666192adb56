"""nDCG and recall of the first k pictures equal their definitions and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import ndcg_score

from components.learning.first_k import ndcg, recalls

pytestmark = pytest.mark.numeric


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Scores with many ties (Q, N), gains (Q, N) from 0 to 3, and k."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 30))
    scores = draw(hnp.arrays(np.float32, shape, elements=st.integers(-3, 3).map(float)))
    gains = draw(hnp.arrays(np.float64, shape, elements=st.integers(0, 3).map(float)))
    return scores, gains, draw(st.integers(1, 40))


def by_definition(scores: np.ndarray, gains: np.ndarray, k: int) -> tuple[float, float]:
    """nDCG and recall of one ranking, picture by picture."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]
    found = sum(gains[i] / math.log2(r + 2) for r, i in enumerate(order))
    best = sum(g / math.log2(r + 2) for r, g in enumerate(sorted(gains, reverse=True)[:k]))
    right = sum(gains > 0)
    if not right:
        return math.nan, math.nan
    return found / best, sum(gains[i] > 0 for i in order) / right


@given(rankings())
def test_both_equal_their_definitions(ranking: tuple[np.ndarray, np.ndarray, int]) -> None:
    scores, gains, k = ranking
    expected = np.array([by_definition(s, g, k) for s, g in zip(scores, gains, strict=True)]).T
    np.testing.assert_allclose(ndcg(scores, gains, k), expected[0], atol=1e-12)
    np.testing.assert_allclose(recalls(scores, gains > 0, k), expected[1], atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(2, 50), st.integers(1, 60))
def test_ndcg_equals_that_of_scikit_learn_without_ties(seed: int, size: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(size)[None].astype(np.float64)
    gains = rng.integers(0, 4, (1, size)).astype(np.float64)
    gains[0, 0] = 1
    assert ndcg(scores, gains, k)[0] == pytest.approx(ndcg_score(gains, scores, k=k))


def test_by_hand() -> None:
    scores = np.array([[3.0, 2.0, 1.0]])
    positive = np.array([[False, True, True]])
    assert ndcg(scores, positive, 2)[0] == pytest.approx(1 / math.log2(3) / (1 + 1 / math.log2(3)))
    assert recalls(scores, positive, 2)[0] == 0.5


def test_a_query_without_right_pictures_has_no_figure() -> None:
    nothing = np.zeros((1, 3))
    assert math.isnan(ndcg(nothing, nothing, 2)[0])
    assert math.isnan(recalls(nothing, nothing > 0, 2)[0])


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ndcg(np.zeros((1, 3)), np.zeros((1, 3)), 0)
    with pytest.raises(ValueError, match="no gain below 0"):
        ndcg(np.zeros((1, 3)), np.full((1, 3), -1.0), 2)
    with pytest.raises(ValueError, match="at least 1"):
        recalls(np.zeros((1, 3)), np.zeros((1, 3)) > 0, 0)
