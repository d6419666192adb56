"""Caches: values survive, other code's values do not, and damage or deletion costs only time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components import file_hashes
from components.cache import Cache
from components.code_versions import code, libraries
from components.file_hashes import FileHashes
from components.files import copy_contents
from components.images.looks import made_by


def test_values_are_kept_by_key_and_by_the_code_that_made_them(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "known.sqlite"
    one, other = Cache(file, "one", "v1"), Cache(file, "other")
    one.put("a", b"1")
    one.put(b"\xff", b"2")
    other.put("a", b"3")
    assert one.get("a") == b"1" and one.get("b") is None
    one.save()
    other.save()
    assert (Cache(file, "one", "v1").get("a"), Cache(file, "one", "v1").get(b"\xff")) == (
        b"1",
        b"2",
    )
    one.put("a", b"4")
    one.save()
    assert Cache(file, "one", "v1").get("a") == b"4"
    assert Cache(file, "one", "v2").get("a") is None
    assert Cache(file, "other").get("a") == b"3"


def test_what_is_expected_is_what_get_gives(tmp_path: Path) -> None:
    kept, more = (Cache(tmp_path / "known.sqlite", "values") for _ in range(2))
    keys: list[str | bytes] = [*(f"{i}" for i in range(1200)), b"\xff", "absent"]
    for key in keys[:-1]:
        kept.put(key, str(key).encode())
    kept.save()
    more.expect(keys)
    kept.put("7", b"of another process")
    kept.save()  # which is not asked for again
    assert [more.get(key) for key in keys] == [*(str(key).encode() for key in keys[:-1]), None]
    more.put("absent", b"1")
    assert more.get("absent") == b"1"
    more.remove(["0"])
    assert more.get("0") is None and more.get("absent") == b"1"
    more.expect(["absent"])
    assert (more.get("absent"), more.get("7")) == (b"1", b"of another process")


@pytest.mark.parametrize("damage", [b"", b"no database" * 1000, None])
def test_a_damaged_or_deleted_cache_is_empty(tmp_path: Path, damage: bytes | None) -> None:
    file = tmp_path / "known.sqlite"
    kept = Cache(file, "values")
    kept.put("a", b"1")
    kept.save()
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    again = Cache(file, "values")
    assert again.get("a") is None
    again.put("a", b"2")
    again.save()
    assert Cache(file, "values").get("a") == b"2"


def test_damage_in_the_middle_of_a_file_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "known.sqlite"
    kept = Cache(file, "values")
    for i in range(2000):
        kept.put(f"{i}", b"x" * 100)
    kept.save()
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xa5" * (file.stat().st_size - 4096))
    again = Cache(file, "values")
    found = {again.get(f"{i}") for i in range(2000)}
    assert found <= {None, b"x" * 100}
    again.put("new", b"1")
    again.save()
    assert Cache(file, "values").get("new") == b"1"


def test_a_version_of_code_follows_its_source_and_its_libraries() -> None:
    assert code("components.cache") == code("components.cache") != code("components.file_hashes")
    assert made_by("hashing") == made_by("hashing") != made_by("decoding")
    assert libraries("numpy") in made_by("hashing")


def test_a_file_is_read_again_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = file_hashes.sha256
    monkeypatch.setattr(file_hashes, "sha256", lambda path: (read.append(path), real(path))[1])
    monkeypatch.setattr(file_hashes, "_SETTLED", -(10**18))  # as if it had been written long ago
    one = tmp_path / os.fsdecode(b"caf\xe9")
    one.write_bytes(b"one")
    for _ in range(2):
        hashes = FileHashes(tmp_path / "known.sqlite")
        first = hashes.sha256(one)
        hashes.save()
    assert len(read) == 1
    times = one.stat()
    one.write_bytes(b"neo")
    os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert FileHashes(tmp_path / "known.sqlite").sha256(one) != first


def test_a_file_that_changed_just_now_is_read_again(tmp_path: Path) -> None:
    """Two changes within one tick of the file system's clock look alike."""
    one = tmp_path / "one"
    hashes = FileHashes(tmp_path / "known.sqlite")
    found = set()
    for i in range(50):
        one.write_bytes(b"%2d" % i)
        found.add(hashes.sha256(one))
    assert len(found) == 50


def test_a_copy_is_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for content in (b"", b"abc" * 100_000):
        source.write_bytes(content)
        copy_contents(source, target)
        assert target.read_bytes() == content
    assert source.stat().st_ino != target.stat().st_ino
    with source.open("r+b") as changed:
        changed.write(b"xyz")
    assert target.read_bytes() == content
    monkeypatch.delattr(os, "copy_file_range")
    copy_contents(source, target)
    assert target.read_bytes() == source.read_bytes()
