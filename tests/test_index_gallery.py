"""The scores that both evaluation and serving use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.index.gallery import Gallery, top
from components.index.hubness import hubness
from components.learning.metrics import average_precision
from tests.rounding import of_dot

pytestmark = pytest.mark.numeric
RNG = np.random.default_rng(0)


def unit(*shape: int) -> np.ndarray:
    rows = RNG.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


CLIP, VISION = 8, 12  # dimensions
FUSED = of_dot(CLIP + VISION + 2)  # terms in the dot product of a fused score
KNOWN = unit(9, CLIP), unit(9, VISION)
GALLERY = Gallery.with_query_bank(unit(50, 8), unit(50, 12), *KNOWN, temperature=0.5)
PLAIN = Gallery(GALLERY.clip, GALLERY.vision)


def test_the_fused_score_is_one_dot_product() -> None:
    text, image, lam, one = unit(3, 8), unit(3, 12), 0.3, np.ones((3, 1))
    query = np.hstack([(1 - lam) * text, (1 - lam) * one, lam * image, lam * one])
    row = np.column_stack(
        [GALLERY.clip, -GALLERY.clip_hubness, GALLERY.vision, -GALLERY.vision_hubness]
    )
    scores = GALLERY.score(text, image, lam)
    np.testing.assert_allclose(scores.fused, query @ row.T, rtol=0, atol=FUSED)
    streams = (1 - lam) * scores.text + lam * scores.image
    np.testing.assert_allclose(scores.fused, streams - scores.hubness, rtol=0, atol=FUSED)


def test_the_ends_of_lambda_are_the_two_paths() -> None:
    text, image = unit(2, 8), unit(2, 12)
    for weight, path in ((0.0, text @ PLAIN.clip.T), (1.0, image @ PLAIN.vision.T)):
        found = PLAIN.score(text, image, weight).fused
        np.testing.assert_allclose(found, path, rtol=0, atol=FUSED)


@pytest.mark.parametrize("many", [1, 40])
def test_hubness_is_the_log_of_the_mean_of_exponentials(many: int) -> None:
    queries, pictures = unit(many, 8), unit(30, 8)
    similar = (queries @ pictures.T).astype(np.float64)
    tau = 0.7 * similar.std()
    expected = tau * np.log(np.exp(similar / tau).mean(axis=0))
    # as wrong as its similarities, and as its temperature and the exponentials times log(many)
    tolerance = (1 + np.log(many)) * of_dot(8 + many)
    np.testing.assert_allclose(hubness(queries, pictures, 0.7), expected, rtol=0, atol=tolerance)
    with_none = np.vstack([queries, np.zeros((3, 8), np.float32)])
    np.testing.assert_allclose(
        hubness(with_none, pictures, 0.7), hubness(queries, pictures, 0.7), rtol=0, atol=tolerance
    )


def test_hubness_is_rounded_once_whatever_the_order_of_the_sums() -> None:
    """Equal to a slow sum in 64 bits, bit by bit: dvc.lock must not depend on the processor."""
    rng = np.random.default_rng(3)
    queries, pictures = rng.normal(size=(300, 64)), rng.normal(size=(200, 64))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    queries, pictures = queries.astype(np.float32), pictures.astype(np.float32)
    exact = [[math.fsum(map(float, np.float64(p) * q)) for q in queries] for p in pictures]
    similar = np.array(exact)
    tau = 0.25 * similar.std()
    expected = (tau * np.log(np.exp(similar / tau).mean(axis=1))).astype(np.float32)
    np.testing.assert_array_equal(hubness(queries, pictures, 0.25), expected)


def test_subtracting_hubness_is_the_inverted_softmax() -> None:
    """The picture's rank for a known query is that of its share in all known queries."""
    queries, pictures = unit(12, 8), unit(30, 8)
    similar = queries @ pictures.T
    tau = 0.5 * similar.std()
    share = np.exp(similar / tau) / np.exp(similar / tau).sum(axis=0)
    freed = similar - hubness(queries, pictures, 0.5)
    falls = -np.diff(np.take_along_axis(freed, np.argsort(-share, axis=1), axis=1), axis=1)
    assert falls.min() > -(1 + np.log(12)) * of_dot(8 + 12)  # pairs that rounding may swap
    assert np.median(falls) > 1e-3


def test_a_picture_near_to_everything_no_longer_comes_first() -> None:
    centre = unit(1, 8)
    queries = unit(20, 8) + 2 * centre
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    own = queries + 0.9 * unit(20, 8)
    own = (own / np.linalg.norm(own, axis=1, keepdims=True)).astype(np.float32)
    pictures = np.vstack([own, centre])
    first = (queries @ pictures.T).argmax(axis=1)
    freed = (queries @ pictures.T - hubness(queries, pictures, 0.5)).argmax(axis=1)
    assert (first == len(own)).sum() >= 10
    assert (freed == len(own)).sum() <= 1


def test_no_query_or_no_temperature_means_no_hubness() -> None:
    pictures = unit(5, 8)
    for queries, temperature in ((np.zeros((3, 8)), 0.5), (np.zeros((0, 8)), 0.5), (unit(3, 8), 0)):
        found = hubness(queries.astype(np.float32), pictures, temperature)
        np.testing.assert_array_equal(found, np.zeros(5))
    assert hubness(unit(3, 8), pictures[:0], 0.5).shape == (0,)


def test_a_query_without_imagined_pictures_is_scored_by_its_text() -> None:
    text, image = unit(2, 8), unit(2, 12)
    image[1] = 0
    scores = PLAIN.score(text, image, 0.7)
    np.testing.assert_array_equal(scores.fused[1], scores.text[1])
    assert not np.array_equal(scores.fused[0], scores.text[0])


def test_a_text_outside_the_bank_is_not_corrected() -> None:
    text, image = unit(2, 8), unit(2, 12)
    found, plain = GALLERY.uncorrected.score(text, image, 0.4), PLAIN.score(text, image, 0.4)
    np.testing.assert_array_equal(found.fused, plain.fused)
    np.testing.assert_array_equal(found.hubness, np.zeros((2, 50)))
    assert not np.array_equal(GALLERY.score(text, image, 0.4).fused, plain.fused)


SCORES = st.one_of(
    st.lists(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=80),  # many ties
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=80),
)


@given(SCORES, st.integers(1, 100))
def test_top_is_the_beginning_of_a_stable_sort(values: list[float], k: int) -> None:
    scores = np.array(values, dtype=np.float32)
    np.testing.assert_array_equal(top(scores, k), np.argsort(-scores, kind="stable")[:k])


@given(SCORES, st.data())
def test_serving_ranks_as_the_evaluation_measures(values: list[float], data: st.DataObject) -> None:
    """Average precision from the order in which a user sees the pictures."""
    scores = np.array(values, dtype=np.float32)
    rows = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    positive = np.array(rows)
    if positive.any():
        served = positive[top(scores, scores.size)]
        in_order = -np.arange(scores.size, dtype=np.float32)
        assert average_precision(scores, positive) == average_precision(in_order, served)


def test_no_pictures_and_no_places_give_nothing() -> None:
    assert top(np.empty(0, np.float32), 3).size == 0
    assert top(np.ones(4, np.float32), 0).size == 0
