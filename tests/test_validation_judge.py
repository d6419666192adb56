"""How pictures are judged: by each other, by near-duplicates and by their prompts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from components.datasets.emblems import draw
from components.features.store import of_texts
from components.validation.appearance import views
from components.validation.judge import leave_one_out
from components.validation.likeness import Likeness, view_distances
from components.validation.measure import clip_margin
from tests.rounding import of_dot
from tests.validating import chosen

pytestmark = pytest.mark.numeric


def test_outliers_do_not_support_each_other() -> None:
    friends = np.array([[1, 0.1, 0], [1, -0.1, 0], [1, 0, 0.1], [1, 0, -0.1]])
    strangers = np.array([[0, 1, 0.05], [0, 1, -0.05]])
    vectors = np.vstack([friends, strangers]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = leave_one_out(vectors, 0.8)
    assert (found[:4] > 0.98).all() and (found[4:] < 0.5).all()
    assert np.isnan(leave_one_out(vectors[:1], 0.8)).all()
    pair = leave_one_out(
        vectors[[0, 4]], 0.8
    )  # of two pictures that disagree, the second is rejected
    assert np.isnan(pair[0]) and pair[1] < 0.8


OF_SQUARES = 2 * 0.21**2 * of_dot(96)
"""A difference is 0.21·√(2 - 2·likeness), and the likeness is a dot product of 96 terms. Near zero
the root magnifies small errors, so the tests compare squares."""


def test_the_best_of_several_copies_stays() -> None:
    one, two = (draw(c, seed=5, subset="copies", index=0) for c in chosen()[:2])
    again = one.resize((24, 24)).resize(one.size)
    seen = np.stack([views(image) for image in (one, two, again, one, two)])
    contents = of_texts(["one", "two", "again", "one", "two"])
    nearest, of = Likeness().nearest_better(contents, seen, 0.025)
    assert np.isnan(nearest[0]) and nearest[1] > 0.03
    assert (nearest[2:] < 0.025).all() and of[2:].tolist() == [0, 0, 1]
    assert (nearest[3:] ** 2 <= OF_SQUARES).all() and np.isfinite(nearest[1:]).all()


def test_an_altered_picture_is_nearer_than_another_one() -> None:
    """It does not matter which of the two is the original."""
    image, other = (draw(c, seed=5, subset="copies", index=0) for c in chosen()[:2])
    values = np.asarray(image)
    inner = image.crop((1, 1, image.width - 1, image.height - 1))
    altered = [
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        inner.resize(image.size, Image.Resampling.BICUBIC),
        Image.fromarray(np.uint8(values * 0.8)),
        Image.fromarray(np.pad(values, ((1, 0), (0, 0), (0, 0)), mode="edge")[:-1]),
        Image.fromarray(np.pad(values, ((0, 0), (0, 1), (0, 0)), mode="edge")[:, 1:]),
    ]
    of_altered = np.stack([views(i) for i in altered])
    of_two = np.stack([views(image), views(other)])
    found = view_distances(of_altered, of_two)
    back = view_distances(of_two, of_altered).T
    np.testing.assert_allclose(found**2, back**2, rtol=0, atol=OF_SQUARES)
    assert (found[:, 0] < 0.01).all() and (found[:, 1] > 0.03).all()


def test_the_clip_margin_is_the_lead_over_the_best_other_prompt() -> None:
    text = np.eye(3, dtype=np.float32)
    clip = np.array([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
    lead, other = clip_margin(clip, text, np.array([0, 1]))
    np.testing.assert_allclose(lead, [-0.2, 1.0], rtol=0, atol=2 * of_dot(3))
    assert other.tolist() == [1, 0]
