"""Arrays on disk are those of safetensors, whoever wrote them; a damaged file is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from safetensors.numpy import load_file, save_file

from components.arrays import create, mapped
from components.errors import EidolonError

KINDS = ("f8", "f4", "f2", "i8", "i4", "u8", "i1", "u1", "?")
NAMES = st.text("abcdefgé_", min_size=1, max_size=8)
ARRAYS = st.dictionaries(
    NAMES,
    st.sampled_from(KINDS).flatmap(
        lambda kind: of_numpy.arrays(kind, of_numpy.array_shapes(min_dims=0, min_side=0))
    ),
    max_size=4,
)


@given(arrays=ARRAYS)
def test_what_safetensors_wrote_is_mapped(
    arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("arrays") / "a.safetensors"
    save_file(arrays, file)
    same(mapped(file), arrays)


@given(arrays=ARRAYS)
def test_what_is_created_can_be_read_by_safetensors(
    arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("arrays") / "a.safetensors"
    made = create(file, {name: (array.shape, array.dtype) for name, array in arrays.items()})
    assert not any(array.any() for array in made.values())
    for name, array in arrays.items():
        made[name][...] = array
        assert made[name].ctypes.data % array.itemsize == 0
    del made
    same(load_file(file), arrays)
    same(mapped(file), arrays)


def test_a_mapped_array_cannot_be_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"a": np.arange(3)}, file)
    with pytest.raises(ValueError, match="read-only"):
        mapped(file)["a"][0] = 1


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "no json", "wrong size", "a list"])
def test_a_damaged_file_is_one_sentence(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    save_file({"a": np.arange(9.0)}, file)
    data = file.read_bytes()
    match damage:
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(data[:-8])
        case "no json":
            file.write_bytes(data.replace(b"{", b"!", 1))
        case "wrong size":
            file.write_bytes(data.replace(b"[9]", b"[8]"))
        case "a list":
            file.write_bytes((2).to_bytes(8, "little") + b"[]")
    with pytest.raises(EidolonError, match=r"a\.safetensors is (missing|damaged)"):
        mapped(file)


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
