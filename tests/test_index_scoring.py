"""Scores in blocks are the scores of the whole, whatever fits into a block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.index import scoring
from components.index.gallery import Gallery
from components.index.scoring import Way, scored
from components.learning import aggregator
from components.learning.aggregator import Aggregator, aggregate
from components.learning.metrics import average_precisions
from components.learning.precisions import precisions
from tests import planted

CLIP, VISION = 3, 5  # dimensions
SIZES = st.integers(1, 400)  # numbers in a block


def whole(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Whole numbers, whose products and sums are exact in whatever order they are added."""
    return rng.integers(-3, 4, shape).astype(np.float32)


@given(queries=st.integers(0, 9), pictures=st.integers(1, 40), block=SIZES, piece=SIZES)
def test_blocks_of_any_size_give_the_same_scores(
    queries: int, pictures: int, block: int, piece: int
) -> None:
    rng = np.random.default_rng(queries + 10 * pictures)
    plain = Gallery(whole(rng, pictures, CLIP), whole(rng, pictures, VISION))
    corrected = replace(
        plain, clip_hubness=whole(rng, pictures), vision_hubness=whole(rng, pictures)
    )
    text = whole(rng, queries, CLIP)
    one, other = whole(rng, queries, VISION), whole(rng, queries, VISION)
    one[: queries // 2] = 0  # without imagined pictures
    ways = [Way(plain, one, 0.0), Way(corrected, one, 0.25), Way(corrected, other, 0.75)]
    labels, rows = rng.integers(0, 4, pictures), rng.integers(0, 4, queries)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "BLOCK", block)
        patch.setattr(scoring, "_AT_ONCE", piece)
        found = np.full((len(ways), queries, pictures), np.nan, dtype=np.float32)
        for way, some, scores in scored(text, ways):
            assert np.isnan(found[way, some]).all()  # nothing comes twice
            found[way, some] = scores
        precise = precisions(labels, rows, text, ways)
    for way, got, precision in zip(ways, found, precise, strict=True):
        expected = way.gallery.score(text, way.aggregated, way.fusion_weight).fused
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(
            precision, average_precisions(expected, labels[None] == rows[:, None])
        )


class Counted(np.ndarray):
    """Counts its products."""

    products = 0

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        Counted.products += ufunc is np.matmul
        plain = [np.asarray(given) for given in inputs]
        return getattr(ufunc, method)(*plain, **options)


def test_each_product_is_computed_once_for_all_weights() -> None:
    rng = np.random.default_rng(0)
    clip, vision = (whole(rng, 20, dim).view(Counted) for dim in (CLIP, VISION))
    gallery, images = Gallery(clip, vision), whole(rng, 4, VISION)
    Counted.products = 0
    pieces = list(
        scored(whole(rng, 4, CLIP), [Way(gallery, images, lam / 20) for lam in range(21)])
    )
    assert len(pieces) == 21 and Counted.products == 2


@pytest.mark.parametrize("numbers", [1, 300, 10**9])
def test_categories_are_aggregated_in_blocks(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, model = planted.without_pictures(planted.features(), 3), Aggregator(planted.DIM)
    expected = aggregate(model, features)
    monkeypatch.setattr(aggregator, "_AT_ONCE", numbers)
    np.testing.assert_allclose(aggregate(model, features), expected, rtol=0, atol=1e-6)
    assert not expected[3].any() and expected.any(axis=1).sum() == len(expected) - 1
