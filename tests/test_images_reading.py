"""Pictures are read ahead of what uses them, in their order."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import pytest
from PIL import Image

from components.errors import EidolonError
from components.files import sha256
from components.images.reading import read


def test_pictures_are_read_in_order_with_what_is_wrong(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.png" for i in range(30)]
    for i, file in enumerate(files):
        Image.new("RGB", (i + 1, 2), (i, 0, 0)).save(file)
    files[7].write_bytes(b"bad")
    files[11].unlink()
    files[12].unlink()
    files[12].mkdir()
    found = list(read(files, max_pixels=58))
    for i, (file, reading) in enumerate(zip(files, found, strict=True)):
        assert reading.sha256 == (sha256(file) if file.is_file() else "")
        if i in (7, 11, 12, 29):
            assert reading.image is None
            assert str(file) in str(reading.error)
        else:
            assert reading.error is None
            assert reading.image is not None
            assert reading.image.size == (i + 1, 2)
    assert not list(read([]))


def test_a_reading_that_is_given_up_leaves_no_thread_and_no_filter(tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.png" for i in range(40)]
    for file in files:
        Image.new("RGB", (2, 2)).save(file)
    before, filters = threading.active_count(), list(warnings.filters)
    readings = read(files)
    assert next(readings).image is not None
    assert threading.active_count() > before
    readings.close()
    assert threading.active_count() == before
    assert warnings.filters == filters


def test_any_other_failure_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    (tmp_path / "0.png").touch()
    monkeypatch.setattr("components.images.reading.decode", fails)
    with pytest.raises(MemoryError):
        list(read([tmp_path / "0.png"]))
    assert not issubclass(MemoryError, EidolonError)
