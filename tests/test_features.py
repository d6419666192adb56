"""Features are read as they were written, without being loaded; damage is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.errors import EidolonError
from components.features import features as module
from components.features.features import Features
from components.features.queries import Queries
from tests import planted

FILE = "features.safetensors"


@pytest.mark.parametrize("rows", [1, 7, 2**14])
def test_mapped_features_are_those_that_were_saved(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", rows)
    given = planted.without_pictures(planted.features(), 2)
    described = Queries(given.text[::-1], given.imagined[::-1], given.accepted[::-1])
    given = Features(**{**vars(given), "described": described})
    given.save(tmp_path)
    found = Features.load(tmp_path)
    assert found.described is not None
    for one, other in ((vars(given), vars(found)), (vars(described), vars(found.described))):
        for name, value in one.items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(other[name], value)
                assert other[name].dtype == value.dtype and not other[name].flags.writeable
            elif isinstance(value, pd.DataFrame):
                pd.testing.assert_frame_equal(other[name], value.astype(str))
    again = tmp_path / "again"
    again.mkdir()
    found.save(again)
    assert (again / FILE).read_bytes() == (tmp_path / FILE).read_bytes()


def test_queries_of_some_categories_are_those_rows_of_all() -> None:
    given = planted.features()
    described = Queries(given.text[::-1], given.imagined[::-1], given.accepted[::-1])
    described.text[4] = 0
    given, rows = Features(**{**vars(given), "described": described}), np.array([9, 4, 0])
    for kind in given.kinds:
        some, every = given.queries(kind, rows), given.of(kind)
        np.testing.assert_array_equal(some.exist, every.asked()[rows])
        for name, value in vars(some).items():
            np.testing.assert_array_equal(value, getattr(every, name)[rows])


@pytest.mark.parametrize("damage", ["missing", "cut", "lacks an array"])
def test_damaged_features_are_one_sentence(damage: str, tmp_path: Path) -> None:
    planted.features().save(tmp_path)
    file = tmp_path / FILE
    match damage:
        case "missing":
            file.unlink()
        case "cut":
            file.write_bytes(file.read_bytes()[:-8])
        case "lacks an array":
            file.write_bytes(file.read_bytes().replace(b'"text"', b'"next"'))
    with pytest.raises(EidolonError, match=r"(missing|damaged).*: run `dvc repro embed`$"):
        Features.load(tmp_path)
