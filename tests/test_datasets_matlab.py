"""The MATLAB reader reads what scipy writes, and any damage is one clear error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from components.datasets.matlab import read_vectors
from components.errors import EidolonError

REMEDY = "get it again"
LABELS = np.arange(1, 103, dtype=np.uint8)


def written(*, compressed: bool, **variables: object) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=compressed)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">u2", ">f8"]
)
def test_vectors_of_every_type_are_read(tmp_path: Path, dtype: str, compressed: bool) -> None:
    path = tmp_path / "v.mat"
    row, column = np.arange(100, dtype=dtype)[None], np.arange(3, dtype=dtype)[:, None]
    path.write_bytes(
        written(compressed=compressed, text="words", row=row, one=np.array(7, dtype), c=column)
    )
    found = read_vectors(path, ("row", "one", "c"), REMEDY)
    assert {name: values.tolist() for name, values in found.items()} == {
        "row": list(range(100)),
        "one": [7],
        "c": [0, 1, 2],
    }
    assert all(values.dtype == np.int64 for values in found.values())


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.5]),
        np.array([np.nan]),
        np.array([np.inf]),
        np.array([2.0**80]),
        np.array([1 + 2j]),
        np.array([["a", "b"]], dtype=object),
        {"field": 1},
        "words",
        np.ones((2, 2)),
    ],
)
def test_anything_but_a_vector_of_integers_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "v.mat"
    path.write_bytes(written(compressed=True, v=value))
    with pytest.raises(EidolonError, match=r"v\.mat is damaged .*: get it again"):
        read_vectors(path, ("v",), REMEDY)


def test_data_that_unpacks_to_far_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.mat"
    path.write_bytes(written(compressed=True, v=np.zeros(2**26, dtype=np.uint8)))
    with pytest.raises(EidolonError, match="cut off or too large"):
        read_vectors(path, ("v",), REMEDY)


@given(
    compressed=st.booleans(),
    length=st.none() | st.integers(0, 400),
    changes=st.dictionaries(st.integers(0, 399), st.integers(0, 255), max_size=6),
)
def test_any_damage_gives_numbers_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    compressed: bool,
    length: int | None,
    changes: dict[int, int],
) -> None:
    data = bytearray(written(compressed=compressed, labels=LABELS)[:length])
    for place, value in changes.items():
        data[place % max(1, len(data)) : place % max(1, len(data)) + 1] = bytes([value])
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    path.write_bytes(data)
    try:
        labels = read_vectors(path, ("labels",), REMEDY)["labels"]
    except EidolonError as error:
        assert "damaged.mat" in str(error) and str(error).endswith(REMEDY)
        assert "\n" not in str(error)
    else:
        assert labels.ndim == 1 and labels.dtype == np.int64
