"""`eidolon thresholds`: the printed bounds are those in force, and cut the share that they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.cli.data import _bounds
from components.validation import thresholds
from components.validation.limit import Limit
from components.validation.thresholds import Distribution
from tests import toy
from tests.validating import changed, measurements

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


@pytest.mark.numeric
def test_limits_are_set_from_the_share_that_they_cut(in_toy: Path, tmp_path: Path) -> None:
    values = np.linspace(0, 1, 101)
    limit = Limit("contrast", 0.1, None, "is blank")
    item = thresholds.Distribution(limit, values, values[:5])
    assert item.beyond(item.pictures) == pytest.approx(10 / 101)
    assert item.beyond(item.wrong) == 1.0
    assert item.cutting(0.25) == (0.25, None)

    nothing = thresholds.Distribution(limit, values[:0], values[:0])
    assert nothing.cutting(0.25) == (None, None)

    contrast = measurements()["contrast"].to_numpy(dtype=float)
    params = changed(min_contrast=float(np.median(contrast)))
    found = {item.limit.column: item for item in thresholds.distributions(params)}
    of_imagined = {
        "contrast",
        "sharpness",
        "clip_margin",
        "view_distance",
        "category_similarity",
        "diversity",
    }
    assert set(found) == of_imagined | {"label", "leak", "copy"}
    assert all(item.wrong.size for item in found.values())
    assert np.sort(found["contrast"].pictures) == pytest.approx(np.sort(contrast))
    assert found["contrast"].beyond(found["contrast"].pictures) == 0.5
    assert len(found["clip_margin"].wrong) == len(contrast)
    assert found["contrast"].beyond(found["contrast"].wrong) == 1.0
    assert found["sharpness"].wrong.min() > 0.4
    assert 0 < len(found["diversity"].pictures) <= len(toy.NAMES)
    thresholds.plot([*found.values(), nothing], tmp_path / "reports" / "thresholds.png")
    with Image.open(tmp_path / "reports" / "thresholds.png") as image:
        assert image.format == "PNG" and image.width > 500
