"""Thumbnails are made once, and a bundle may name them in place of carrying them."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components import config
from components.serving.bundle import bundle
from components.serving.loading import Bundle, load
from components.serving.near_duplicates import NearDuplicates
from components.serving.thumbnails import VARIABLE, Thumbnails, key
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Built

pytest_plugins = ["tests.serving"]
STORE = Path(".eidolon/thumbnails")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is in the working directory, whatever a fixture of other tests has set."""
    for name in ("EIDOLON_HOME", VARIABLE):
        monkeypatch.delenv(name, raising=False)


def made(out: Path, pictures: str = "bundled") -> Bundle:
    params = config.load()
    chosen = params.bundle.model_copy(update={"pictures": pictures})
    bundle(params.model_copy(update={"bundle": chosen}), out)
    return load(out)


def test_only_new_thumbnails_are_made(toy_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(STORE)  # other tests of the shared toy may have left more
    first = made(Path("first"))
    assert "bundle: 56 of 56 thumbnails made" in capsys.readouterr().err
    second = made(Path("second"))
    assert "bundle: 0 of 56 thumbnails made" in capsys.readouterr().err
    archives = [(one.folder / "pictures.zip").read_bytes() for one in (first, second)]
    assert archives[0] == archives[1]

    one, other, *_ = sorted(STORE.glob("??/*"))
    one.unlink()
    other.write_bytes(other.read_bytes()[:-9])  # a bad disk
    capsys.readouterr()
    third = made(Path("third"))
    assert "bundle: 2 of 56 thumbnails made" in capsys.readouterr().err
    assert (third.folder / "pictures.zip").read_bytes() == archives[0]


def test_a_bundle_may_name_its_pictures(toy_copy: Path) -> None:
    whole, light = made(Path("whole")), made(Path("light"), "store")
    assert not (light.folder / "pictures.zip").exists()
    with zipfile.ZipFile(whole.folder / "pictures.zip") as archive:
        assert len(archive.namelist()) == 56
        for name in archive.namelist():
            assert light.picture(name) == whole.picture(name) == archive.read(name)
    with pytest.raises(KeyError):
        light.picture("gallery/nothing.png")


def test_a_removed_picture_is_no_longer_shown(toy_copy: Path) -> None:
    light = made(Path("light"), "store")
    store, path = Thumbnails(), light.pictures["path"][0]
    (name,) = (one for one in store.root.glob("??/*") if one.name == light._keys[path])
    store.forget([name.name.partition("-")[0]])
    with pytest.raises(KeyError):
        light.picture(path)
    groups = NearDuplicates(light).groups([0, 0, 1])
    assert sum(group.count for group in groups) == 3


def test_a_key_says_what_the_thumbnail_is_of() -> None:
    assert key("ab", 256) != key("ab", 128)


@pytest.mark.slow
def test_a_bento_serves_pictures_of_the_store(built: Built, toy_copy: Path, tmp_path: Path) -> None:
    light = made(Path("light"), "store")
    here = replace(built, home=tmp_path / "home", project=toy_copy)
    STORE.rename(tmp_path / "thumbnails")
    (tmp_path / "home").mkdir()
    (tmp_path / "thumbnails").rename(tmp_path / "home" / "thumbnails")
    tag = here.answer("build", "--bundle", str(light.folder), "--version", "8")["tag"]
    assert here.answer("check", "--tag", tag, "--queries", str(len(NAMES)))["queries"] == len(NAMES)
