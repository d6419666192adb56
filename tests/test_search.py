"""The scoring path that both evaluation and serving use."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.search import Gallery, top

RNG = np.random.default_rng(0)


def unit(*shape: int) -> np.ndarray:
    rows = RNG.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


GALLERY = Gallery(unit(50, 8), unit(50, 12))


def test_the_fused_score_is_one_dot_product() -> None:
    text, image, lam = unit(3, 8), unit(3, 12), 0.3
    query = np.hstack([(1 - lam) * text, lam * image])
    row = np.hstack([GALLERY.clip, GALLERY.vision])
    np.testing.assert_allclose(GALLERY.score(text, image, lam).fused, query @ row.T, atol=1e-6)


def test_the_ends_of_lambda_are_the_two_paths() -> None:
    text, image = unit(2, 8), unit(2, 12)
    np.testing.assert_array_equal(GALLERY.score(text, image, 0.0).fused, text @ GALLERY.clip.T)
    np.testing.assert_array_equal(GALLERY.score(text, image, 1.0).fused, image @ GALLERY.vision.T)


def test_a_query_without_imagined_pictures_is_scored_by_its_text() -> None:
    text, image = unit(2, 8), unit(2, 12)
    image[1] = 0
    scores = GALLERY.score(text, image, 0.7)
    np.testing.assert_array_equal(scores.fused[1], scores.text[1])
    assert not np.array_equal(scores.fused[0], scores.text[0])


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=80), st.integers(1, 100))
def test_top_gives_the_best_in_order(values: list[float], k: int) -> None:
    scores = np.array(values, dtype=np.float32)
    found = top(scores, k)
    assert len(set(found.tolist())) == len(found) == min(k, len(values))
    np.testing.assert_array_equal(scores[found], np.sort(scores)[::-1][:k])
