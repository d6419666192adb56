"""Rows by key survive merges, pruning, other processes, and damage of every kind."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import EidolonError
from components.features import segments
from components.features.segments import Keys, Rows, Segments

WIDTH = 5
CONTEXT = multiprocessing.get_context("spawn")


def keys_of(numbers: list[int]) -> Keys:
    whole = b"".join(hashlib.sha256(str(n).encode()).digest() for n in numbers)
    return np.frombuffer(whole, np.uint8).reshape(-1, 32)


def rows_of(numbers: list[int]) -> Rows:
    return np.array(numbers, dtype=np.float32)[:, None] + np.arange(WIDTH, dtype=np.float32) / 8


def put(found: Segments, numbers: list[int]) -> None:
    found.add(keys_of(numbers), rows_of(numbers))
    found.flush()


def got(found: Segments, numbers: list[int]) -> list[int]:
    """Those of ``numbers`` whose row is there. It must be the right one."""
    out = np.full((len(numbers), WIDTH), np.nan, dtype=np.float32)
    sound = found.read(keys_of(numbers), out)
    np.testing.assert_array_equal(out[sound], rows_of(numbers)[sound])
    assert np.isnan(out[~sound]).all()
    return [n for n, there in zip(numbers, sound, strict=True) if there]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


BATCHES = st.lists(st.lists(st.integers(0, 99), min_size=1, unique=True), max_size=40)


@given(batches=BATCHES, kept=st.sets(st.integers(0, 99)), fan=st.integers(2, 8))
def test_what_was_put_is_got(
    batches: list[list[int]], kept: set[int], fan: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any batches, in any order, with and without merges; and then only what is kept."""
    folder = tmp_path_factory.mktemp("rows")
    everything = list(range(100))
    found, reader = Segments(folder), Segments(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "_FAN", fan)
        for batch in batches:
            put(found, batch)
            assert set(batch) <= set(got(reader, batch))
        there = sorted({n for batch in batches for n in batch})
        assert got(Segments(folder), everything) == there
        np.testing.assert_array_equal(
            Segments(folder).has(keys_of(everything)), np.isin(everything, there)
        )
        size = found.size()
        would = found.keep(keys_of(sorted(kept)), dry=True)
        assert found.size() == size
        freed = found.keep(keys_of(sorted(kept)))
        assert freed == would
        assert (freed > 0) == bool(set(there) - kept)
        left = [n for n in there if n in kept]
        for one in (found, reader, Segments(folder)):  # one has the old segments mapped
            assert got(one, everything) == left


def test_few_segments_remain_and_each_row_once(tmp_path: Path) -> None:
    found = Segments(tmp_path)
    for n in range(200):
        put(found, [n, n + 1, n + 2])
    assert len(files(tmp_path)) <= 3 * (segments._FAN - 1)
    assert got(Segments(tmp_path), list(range(202))) == list(range(202))
    merged = segments._opened(files(tmp_path)[0])
    assert merged is not None
    assert len(np.unique(merged.keys)) == len(merged.keys)


def test_rows_stay_in_the_order_in_which_they_were_added(tmp_path: Path) -> None:
    """So that a dataset, whose pictures were added in order, is read in order."""
    found = Segments(tmp_path)
    for n in range(segments._FAN):
        put(found, [10 * n + i for i in range(10)])
    (only,) = files(tmp_path)
    opened = segments._opened(only)
    assert opened is not None
    np.testing.assert_array_equal(opened.rows, rows_of(list(range(10 * segments._FAN))))


def test_a_reader_keeps_what_is_merged_and_removed_meanwhile(tmp_path: Path) -> None:
    found, reader = Segments(tmp_path), Segments(tmp_path)
    put(found, [1])
    opened = reader._segments()
    for n in range(2, segments._FAN + 2):
        put(found, [n])
    assert not (tmp_path / next(iter(reader._open))).exists()
    np.testing.assert_array_equal(opened[0].rows, rows_of([1]))
    assert got(reader, [1, 2, 99]) == [1, 2]


def test_any_kind_of_rows(tmp_path: Path) -> None:
    for kind, shape in ((np.float64, (4,)), (np.float32, (3, 2)), (np.int64, ())):
        found = Segments(tmp_path / np.dtype(kind).name)
        rows = np.random.default_rng(0).normal(size=(7, *shape)).astype(kind)
        found.add(keys_of(list(range(7))), rows)
        found.flush()
        assert found.row() == (shape, np.dtype(kind))
        out = np.zeros((2, *shape), kind)
        assert found.read(keys_of([6, 2]), out).all()
        np.testing.assert_array_equal(out, rows[[6, 2]])


def test_keys_of_zeros_and_of_trailing_zeros(tmp_path: Path) -> None:
    """Numpy takes zeros at the end of bytes for padding."""
    keys = np.zeros((3, 32), np.uint8)
    keys[1, 0], keys[2, :2] = 1, (1, 1)
    found = Segments(tmp_path)
    found.add(keys[:2], rows_of([0, 1]))
    found.flush()
    out = np.zeros((3, WIDTH), np.float32)
    assert found.read(keys, out).tolist()[1:] == [True, False]
    np.testing.assert_array_equal(out[1], rows_of([1])[0])


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _zeros(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def _other(file: Path) -> None:
    file.write_bytes(b"something else")


@pytest.mark.parametrize("damage", [_cut, _empty, _zeros, _other])
def test_a_damaged_segment_is_absent(damage: Callable[[Path], None], tmp_path: Path) -> None:
    found = Segments(tmp_path)
    put(found, [1, 2])
    (file,) = files(tmp_path)
    damage(file)
    put(found, [3])
    again = Segments(tmp_path)
    assert got(again, [1, 2, 3]) == [3]
    put(again, [1, 2])
    assert got(Segments(tmp_path), [1, 2, 3]) == [1, 2, 3]
    found.keep(keys_of([1, 2, 3]))
    assert not file.exists()
    assert got(Segments(tmp_path), [1, 2, 3]) == [1, 2, 3]


def test_a_changed_byte_is_never_read(tmp_path: Path) -> None:
    """Wherever it is: a row is right, or absent. What is put again is found, also after merges."""
    numbers = list(range(8))
    found = Segments(tmp_path)
    put(found, numbers)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for at in range(0, len(whole), 3):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        again = Segments(tmp_path)
        try:
            lost = set(numbers) - set(got(again, numbers))
        except ValueError:  # the row's shape or type is damaged
            continue
        if at % 50 == 0 and lost:
            put(again, sorted(lost))
            assert got(Segments(tmp_path), numbers) == numbers
            for n in range(10, 10 + segments._FAN):
                put(again, [n])
            assert set(got(Segments(tmp_path), numbers)) >= lost
            for other in set(files(tmp_path)) - {file}:
                other.unlink()


def _add(folder: Path, start: int) -> None:
    found = Segments(folder)
    for n in range(60):
        put(found, [start + n, 1000 + n])


def test_processes_write_merge_and_prune_at_once(tmp_path: Path) -> None:
    processes = [CONTEXT.Process(target=_add, args=(tmp_path, 60 * i)) for i in range(2)]
    for process in processes:
        process.start()
    wanted = [*range(120), *range(1000, 1060)]
    pruner, reader = Segments(tmp_path), Segments(tmp_path)
    while any(process.is_alive() for process in processes):
        if tmp_path.exists():
            pruner.keep(keys_of(wanted))
            got(reader, wanted)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert got(Segments(tmp_path), wanted) == wanted
    assert not list(tmp_path.glob(".*.part"))


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").write_text("a file")
    with pytest.raises(EidolonError, match="EIDOLON_FEATURES"):
        put(Segments(tmp_path / "rows"), [1])

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(segments, "create", read_only)
    with pytest.raises(EidolonError, match="Read-only file system"):
        put(Segments(tmp_path / "other"), [1])


@pytest.mark.skipif(sys.platform != "linux", reason="another system reserves no room")
def test_a_full_disk_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    found = Segments(tmp_path)
    put(found, [1])
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            put(found, [2])
    assert got(Segments(tmp_path), [1, 2]) == [1]
    assert {path.name for path in tmp_path.iterdir()} <= {files(tmp_path)[0].name, ".lock"}
