"""The embedded world: what its pictures and splits promise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from components.datasets.emblems import (
    COLOURS,
    PATTERNS,
    SHAPES,
    SIZE,
    Emblem,
    categories,
    draw,
    emblems,
    splits,
)


def test_there_are_320_categories_in_three_splits() -> None:
    assert len(set(emblems())) == 320
    assert Counter(splits().values()) == {"train": 200, "unseen": 80, "validation": 40}


def test_every_attribute_value_is_trained_on() -> None:
    trained = [c for c, split in splits().items() if split == "train"]
    assert {c.colour for c in trained} == set(COLOURS)
    assert {c.pattern for c in trained} == set(PATTERNS)
    assert {c.shape for c in trained} == set(SHAPES)


def test_a_picture_is_a_pure_function_of_its_key() -> None:
    emblem = Emblem("red", "striped", "star")
    one = np.asarray(draw(emblem, seed=0, subset="gallery", index=0))
    assert one.shape == (SIZE, SIZE, 3)
    assert np.array_equal(one, np.asarray(draw(emblem, seed=0, subset="gallery", index=0)))
    for other in ({"seed": 1}, {"subset": "training"}, {"index": 1}, {"style": "studio"}):
        key = {"seed": 0, "subset": "gallery", "index": 0} | other
        assert not np.array_equal(one, np.asarray(draw(emblem, **key)))  # type: ignore[arg-type]


@pytest.mark.parametrize("emblem", emblems()[::7], ids=lambda c: c.name)
def test_every_kind_of_emblem_can_be_drawn(emblem: Emblem) -> None:
    picture = np.asarray(draw(emblem, seed=0, subset="gallery", index=0, style="studio"))
    assert picture.std() > 5


def test_the_colour_is_the_one_in_the_name() -> None:
    middle = slice(SIZE // 2 - 3, SIZE // 2 + 3)
    for colour, channel in (("red", 0), ("green", 1), ("blue", 2)):
        picture = np.asarray(
            draw(Emblem(colour, "plain", "circle"), seed=0, subset="t", index=0, style="studio")
        )
        assert picture[middle, middle].mean((0, 1)).argmax() == channel


def test_names_are_parsed_back_and_others_refused() -> None:
    assert all(Emblem.parse(c.name) == c for c in emblems())
    for name in ("", "red star", "red striped zebra", "star striped red"):
        with pytest.raises(ValueError, match="no emblem is called"):
            Emblem.parse(name)


def test_unseen_categories_give_training_nothing() -> None:
    for category in categories(seed=0, gallery=2, training=3):
        assert len(category.gallery) == 2
        assert len(category.training) == (0 if category.split == "unseen" else 3)
