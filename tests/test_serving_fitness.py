"""Which pictures of a text are fit: blank, noisy, withheld, NaN and wrong ones are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.config import profiles
from components.imagining.memory import Seen
from components.serving.fitness import Fitness
from components.serving.imaginer import WITHHELD

AXES = np.eye(6, dtype=np.float32)
FIT = Seen("0" * 64, AXES[0], AXES[0], contrast=0.2, sharpness=0.02, refused="")


@pytest.fixture
def fitness() -> Fitness:
    params = profiles.load("embedded")
    return Fitness(params.validation, params.generator.size, AXES[1:4])


def reason(fitness: Fitness, seen: Seen, text: np.ndarray = AXES[0]) -> str:
    return fitness.objection(seen, fitness.agreement(seen, text))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"contrast": 0.0}, "is blank"),
        ({"sharpness": 0.0001}, "is blurred or noise"),
        ({"sharpness": 5.0}, "is blurred or noise"),
        ({"refused": WITHHELD}, WITHHELD),
        ({"vision": AXES[0] * np.nan}, "cannot be encoded"),
        ({"clip": AXES[0] * np.nan}, "cannot be encoded"),
        ({"clip": AXES[1]}, "does not show the text"),
        ({"contrast": float("nan")}, "cannot be encoded"),
    ],
)
def test_each_fault_has_its_reason(fitness: Fitness, changes: dict[str, object], why: str) -> None:
    assert reason(fitness, replace(FIT, **changes)) == why


def test_a_picture_that_fits_a_category_too_is_fit(fitness: Fitness) -> None:
    """A picture of "red star" is also one of "red striped star"."""
    both = (AXES[0] + AXES[1]) / np.sqrt(np.float32(2))
    assert reason(fitness, replace(FIT, clip=both)) == ""


def test_one_category_is_enough() -> None:
    params = profiles.load("embedded")
    assert reason(Fitness(params.validation, 32, AXES[1:2]), FIT) == ""
