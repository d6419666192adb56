"""`eidolon thresholds`: what is printed is what is set, and cuts what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cli.data import _bounds
from components.validation.limit import Limit
from components.validation.thresholds import Distribution

VALUES = st.lists(st.floats(-2, 2, allow_subnormal=False), min_size=1, max_size=60)


@given(VALUES, st.floats(0, 0.5))
def test_the_printed_bounds_cut_no_more_than_was_asked(values: list[float], share: float) -> None:
    pictures = np.array(values)
    both = Distribution(Limit("x", 0, 0, "is x"), pictures, pictures[:0])
    low, high = (float(text) for text in _bounds(*both.cutting(share)).split(" … "))
    for limit in (Limit("x", low, None, "is x"), Limit("x", None, high, "is x")):
        assert Distribution(limit, pictures, pictures[:0]).beyond(pictures) <= share + 1e-12


def test_a_printed_bound_is_not_rounded_into_the_pictures() -> None:
    pictures = np.full(100, 0.049996)  # which rounds to 0.05, a bound that would cut them all
    found = Distribution(Limit("x", 0, None, "is x"), pictures, pictures[:0]).cutting(0.005)
    assert _bounds(*found) == "0.04999 … "


@pytest.mark.parametrize("value", [0.0003, 0.123456, -0.2, 100.0, 0.025])
def test_the_limit_is_printed_as_it_stands_in_params(value: float) -> None:
    assert float(_bounds(value, None).split(" …")[0]) == value
