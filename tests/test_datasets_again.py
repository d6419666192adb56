"""A second dataset: it is equal to the byte, and only what is new was decoded or drawn for it."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.config import Dataset
from components.datasets.dataset import make
from components.files import sha256
from tests.trees import params, tree


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets are built in a folder in which nothing was ever ingested."""
    monkeypatch.chdir(tmp_path)


def photos(root: Path, count: int = 3) -> Path:
    rng = np.random.default_rng(0)
    for name in ("fox", "lynx", "otter", "wolf", "ibex"):
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.jpg")
    return root


def equal(one: Path, other: Path) -> bool:
    """Whether two folders have the same files with the same content."""
    files = [[p.relative_to(r) for p in sorted(r.rglob("*")) if p.is_file()] for r in (one, other)]
    return files[0] == files[1] and all(
        filecmp.cmp(one / file, other / file, shallow=False) for file in files[0]
    )


def drawn(tmp_path: Path, **change: int) -> Dataset:
    sizes = {"gallery_per_category": 1, "training_per_category": 1, **change}
    return params("emblems", None, **sizes)


def copied(tmp_path: Path) -> Dataset:
    return tree(photos(tmp_path / "photos"), 2, 1)


@pytest.mark.parametrize("kind", [drawn, copied])
def test_a_second_dataset_is_equal_and_nothing_of_it_is_new(
    tmp_path: Path, kind: Callable[[Path], Dataset]
) -> None:
    chosen, known = kind(tmp_path), tmp_path / "known.sqlite"
    rows, new = make(chosen, tmp_path / "one", known)
    assert new == len(rows)
    again, none = make(chosen, tmp_path / "two", known)
    assert none == 0 and again.equals(rows) and equal(tmp_path / "one", tmp_path / "two")
    for damage in (known.unlink, lambda: known.write_bytes(b"no database" * 999)):
        damage()
        once_more, all_of_it = make(chosen, tmp_path / "three", known)
        assert all_of_it == len(rows) and once_more.equals(rows)
        assert equal(tmp_path / "one", tmp_path / "three")


def test_only_what_is_added_or_changed_is_new(tmp_path: Path) -> None:
    chosen, known = copied(tmp_path), tmp_path / "known.sqlite"
    make(chosen, tmp_path / "one", known)
    root = tmp_path / "photos"
    shutil.copytree(root / "fox", root / "red_fox")
    shutil.move(root / "wolf" / "0.jpg", root / "wolf" / "3.jpg")
    assert make(chosen, tmp_path / "one", known).new == 0  # other names of known pictures
    Image.new("RGB", (8, 8), "red").save(root / "lynx" / "0.jpg")
    (root / "grey_fox").mkdir()
    for i in range(2):
        Image.new("RGB", (8, 8), ("grey", "black")[i]).save(root / "grey_fox" / f"{i}.jpg")
    _, new = make(chosen, tmp_path / "one", known)
    make(chosen, tmp_path / "two", tmp_path / "other.sqlite")
    assert new == 3 and equal(tmp_path / "one", tmp_path / "two")


def test_more_drawings_are_drawn_and_no_other(tmp_path: Path) -> None:
    known = tmp_path / "known.sqlite"
    first, _ = make(drawn(tmp_path), tmp_path / "one", known)
    more, new = make(drawn(tmp_path, gallery_per_category=2), tmp_path / "one", known)
    assert new == len(more) - len(first) == 320
    make(drawn(tmp_path, gallery_per_category=2), tmp_path / "two", tmp_path / "other.sqlite")
    assert equal(tmp_path / "one", tmp_path / "two")


def test_the_dataset_never_shares_a_file_with_its_owner(tmp_path: Path) -> None:
    """Whoever edits one in place leaves the other as it was."""
    chosen, known = copied(tmp_path), tmp_path / "known.sqlite"
    owned, ours = tmp_path / "photos" / "fox" / "0.jpg", tmp_path / "one/gallery/fox/0000.jpg"
    for _ in range(2):
        make(chosen, tmp_path / "one", known)
        before = ours.read_bytes()
        assert before == owned.read_bytes() and owned.stat().st_ino != ours.stat().st_ino
        with ours.open("r+b") as changed:
            changed.write(b"changed here")
        assert owned.read_bytes() == before
    make(chosen, tmp_path / "one", known)
    with owned.open("r+b") as changed:
        changed.write(b"changed by its owner")
    assert ours.read_bytes() == before


def inodes(folder: Path) -> dict[str, int]:
    """The inode of each file of a picture, by its path."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.parent != folder]
    return {file.relative_to(folder).as_posix(): file.stat().st_ino for file in files}


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    chosen, known, out = copied(tmp_path), tmp_path / "known.sqlite", tmp_path / "one"
    make(chosen, out, known)
    before = set(inodes(out).values())
    shutil.rmtree(out)  # as DVC does
    (tmp_path / "photos/grey_fox").mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (90 * i, 0, 0)).save(tmp_path / f"photos/grey_fox/{i}.jpg")
    make(chosen, out, known)
    written = {path.split("/")[1] for path, inode in inodes(out).items() if inode not in before}
    assert written == {"grey_fox"}
    make(chosen, tmp_path / "two", tmp_path / "elsewhere" / "known.sqlite")
    assert equal(out, tmp_path / "two")


def test_equal_pictures_are_files_of_their_own(tmp_path: Path) -> None:
    chosen, known, out = copied(tmp_path), tmp_path / "known.sqlite", tmp_path / "one"
    shutil.copytree(tmp_path / "photos/fox", tmp_path / "photos/red_fox")
    for _ in range(2):
        rows, _ = make(chosen, out, known)
        assert len(set(inodes(out).values())) == len(rows)


def test_what_the_dataset_no_longer_has_is_not_kept(tmp_path: Path) -> None:
    chosen, known, out = copied(tmp_path), tmp_path / "known.sqlite", tmp_path / "one"
    make(chosen, out, known)
    (gone,) = (tmp_path / "photos/fox").glob("0.jpg")
    digest = sha256(gone)
    gone.unlink()
    rows, _ = make(chosen, out, known)
    kept = {file.name for file in (tmp_path / "dataset").rglob("*") if file.is_file()}
    assert kept == set(rows["sha256"]) and digest not in kept


def test_a_kept_file_that_was_changed_is_not_used(tmp_path: Path) -> None:
    chosen, known, out = copied(tmp_path), tmp_path / "known.sqlite", tmp_path / "one"
    make(chosen, out, known)
    for file in (tmp_path / "dataset").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            file.write_bytes(data[:-1] + b"!")
    make(chosen, out, known)
    make(chosen, tmp_path / "two", tmp_path / "elsewhere" / "known.sqlite")
    assert equal(out, tmp_path / "two")
