"""The memory of imagined pictures: what is kept, what goes first, and bad files and disks."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from components.imagining import memory as memories
from components.imagining.memory import Drawn, Memory

LARGE = 2**30


def drawn(name: str, size: int = 1000, refused: str = "") -> Drawn:
    address = name.encode().hex().ljust(64, "0")
    rng = np.random.default_rng(len(name))
    vision, clip = (rng.normal(size=d).astype(np.float32) for d in (8, 5))
    return Drawn(address, vision, clip, 0.25, 0.01, refused, png=bytes(size))


def test_what_was_seen_comes_back_bit_by_bit_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "new" / "texts.sqlite"
    one = drawn("one", refused="was withheld")
    Memory(file, "encoders", LARGE).put([one])
    again = Memory(file, "encoders", LARGE)
    (found,) = again.get([one.address, "f" * 64]).values()
    assert (found.address, found.contrast, found.sharpness) == (one.address, 0.25, 0.01)
    assert found.refused == "was withheld"
    assert np.array_equal(found.vision, one.vision) and np.array_equal(found.clip, one.clip)
    assert again.picture(one.address) == one.png
    assert again.picture("f" * 64) is None


def test_vectors_of_other_encoders_do_not_count(tmp_path: Path) -> None:
    one = drawn("one")
    Memory(tmp_path / "texts.sqlite", "old", LARGE).put([one])
    new = Memory(tmp_path / "texts.sqlite", "new", LARGE)
    assert new.get([one.address]) == {}
    new.put([one])
    assert set(new.get([one.address])) == {one.address}


def test_the_least_recently_used_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(memories.time, "time", lambda: now)
    memory = Memory(tmp_path / "texts.sqlite", "encoders", 100_000)
    pictures = [drawn(f"number {i:03}", size=9_000) for i in range(20)]
    for picture in pictures[:9]:
        now += 100
        memory.put([picture])
    now += 100
    assert memory.get([pictures[0].address])  # the oldest is used again
    for picture in pictures[9:14]:
        now += 100
        memory.put([picture])
    left = memory.get([picture.address for picture in pictures])
    assert pictures[0].address in left and pictures[13].address in left
    assert pictures[1].address not in left
    assert memory.bytes <= 100_000
    assert memory.bytes == sum(9_000 + 13 * 4 + 500 for _ in left)


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "texts.sqlite"
    file.write_bytes(b"this is no database" * 1000)
    memory = Memory(file, "encoders", LARGE)
    one = drawn("one")
    assert memory.get([one.address]) == {}
    memory.put([one])
    assert set(memory.get([one.address])) == {one.address}


def test_a_disk_that_takes_nothing_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    memory = Memory(tmp_path / "file" / "texts.sqlite", "encoders", LARGE)
    one = drawn("one")
    for _ in range(3):
        memory.put([one])
        assert memory.get([one.address]) == {}
        assert memory.picture(one.address) is None
    assert memory.bytes == 0
    assert len(caplog.records) == 1


def write(file: Path, start: int) -> None:
    memory = Memory(file, "encoders", LARGE)
    for i in range(start, start + 30):
        memory.put([drawn(f"number {i:03}")])


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    file = tmp_path / "texts.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(file, 20 * i)) for i in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    wanted = [drawn(f"number {i:03}").address for i in range(70)]
    memory = Memory(file, "encoders", LARGE)
    assert set(memory.get(wanted)) == set(wanted)
    with sqlite3.connect(file) as database:
        (total,) = database.execute("SELECT SUM(bytes) FROM pictures").fetchone()
    assert memory.bytes == total
