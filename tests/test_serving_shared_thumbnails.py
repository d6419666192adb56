"""Machines share thumbnails in a bucket of a real S3 server, and keep copies of what they use."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from bento import server
from components import config
from components.errors import EidolonError, TransientError
from components.objects import Objects, opened
from components.paths import DATASET
from components.serving.bundle import bundle
from components.serving.loading import Bundle, load
from components.serving.near_duplicates import NearDuplicates
from components.serving.thumbnails import VARIABLE, Thumbnails
from ops.removing import remove
from tests.buckets import BUCKET, Server

if TYPE_CHECKING:
    from tests.serving import Built

pytest_plugins = ["tests.serving"]
NOBODY = "http://127.0.0.1:9"
Machine = Callable[[str], Path]


@pytest.fixture
def shared(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """An empty place in S3, which `EIDOLON_THUMBNAILS` names."""
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    monkeypatch.setenv(VARIABLE, url)
    return opened(url)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Goes on as the machine with this name. Returns the folder of its own copies."""

    def become(name: str) -> Path:
        monkeypatch.setenv("EIDOLON_HOME", str(tmp_path / name))
        return tmp_path / name / "thumbnails"

    return become


def made(out: str) -> Bundle:
    params = config.load()
    chosen = params.bundle.model_copy(update={"pictures": "store"})
    bundle(params.model_copy(update={"bundle": chosen}), Path(out))
    return load(Path(out))


def test_one_machine_shows_what_another_has_made(
    shared: Objects, machine: Machine, toy_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = machine("a")
    first = made("first")
    assert "bundle: 56 of 56 thumbnails made, 56 uploaded" in capsys.readouterr().err
    files = {f"{file.parent.name}/{file.name}": file.read_bytes() for file in there.glob("??/*")}
    places = shared.keys()
    assert {place: shared.read(place) for place in places} == files

    here = machine("b")
    again, path = load(Path("first")), first.pictures["path"][0]
    assert again.picture(path) == first.picture(path)
    (copy,) = here.glob("??/*")
    whole = copy.read_bytes()
    copy.write_bytes(whole[:-9])  # a bad disk
    assert again.picture(path) == first.picture(path) and copy.read_bytes() == whole
    capsys.readouterr()
    assert made("second").info["files"] == first.info["files"]
    assert "bundle: 0 of 56 thumbnails made\n" in capsys.readouterr().err
    assert len(list(here.glob("??/*"))) == 1  # what all can read is not made again


def test_only_what_the_bucket_lacks_is_uploaded(
    shared: Objects, machine: Machine, toy_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = machine("a")
    light = made("first")
    places = shared.keys()
    for place in places[:2]:
        shared.delete(place)
    (folder / places[0]).unlink()
    capsys.readouterr()
    made("second")
    assert "bundle: 1 of 56 thumbnails made, 2 uploaded" in capsys.readouterr().err
    for place in places:
        shared.delete(place)
    made("third")
    assert "bundle: 0 of 56 thumbnails made, 56 uploaded" in capsys.readouterr().err
    assert shared.keys() == places

    machine("b")
    path = light.pictures["path"][0]
    (place,) = (place for place in places if place.endswith(light._keys[path]))
    shared.write(place, b"damaged")
    with pytest.raises(KeyError):
        load(light.folder).picture(path)


def test_a_bucket_that_is_away_costs_pictures_and_no_searches(
    shared: Objects, machine: Machine, toy_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("a")
    light = made("light")
    machine("b")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", NOBODY)
    path = light.pictures["path"][0]
    away = load(light.folder)
    with pytest.raises(TransientError, match=r"cannot be reached .* AWS_ENDPOINT_URL_S3"):
        away.picture(path)
    with pytest.raises(TransientError, match="did not answer just now"):
        away.picture(path)  # nothing waits for it again
    groups = NearDuplicates(away).groups([0, 0, 1])
    assert sum(group.count for group in groups) == 3
    with pytest.raises(TransientError, match="cannot be reached"):
        made("none")
    assert not Path("none").exists()


def test_a_removed_picture_is_removed_from_the_bucket(
    shared: Objects, machine: Machine, toy_copy: Path
) -> None:
    folder = machine("a")
    made("light")
    places = shared.keys()
    Thumbnails().forget([Path(places[0]).name.partition("-")[0]])
    assert shared.keys() == places[1:]
    assert sorted(file.name for file in folder.glob("??/*")) == [Path(p).name for p in places[1:]]


def test_what_could_not_be_removed_is_told(
    shared: Objects, machine: Machine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("a")
    picture = next(file for file in sorted((DATASET / "gallery").rglob("*")) if file.is_file())
    path, said = str(picture.relative_to(DATASET)), list[str]()
    for name, value, kind in (
        ("AWS_ENDPOINT_URL_S3", NOBODY, TransientError),
        ("AWS_SECRET_ACCESS_KEY", "wrong", EidolonError),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(kind, match=r"nothing was purged: .*AWS_.*; then repeat"):
                remove([path], "the owner asked", None, said.append, purge=True)
    assert not [line for line in said if "purged" in line or "removed" in line]


@pytest.mark.parametrize("url", ["http://host/a", "s3://"])
def test_a_wrong_address_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(EidolonError, match=VARIABLE):
        Thumbnails()


def test_a_bucket_that_is_not_there_is_named(
    shared: Objects, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("a")
    monkeypatch.setenv(VARIABLE, "s3://absent/a")
    with pytest.raises(EidolonError, match=f"create the bucket absent, or correct {VARIABLE}"):
        Thumbnails().get("ab-256-1")


@pytest.mark.slow
def test_a_bento_reads_them_with_keys_of_its_own(
    built: Built,
    shared: Objects,
    machine: Machine,
    toy_copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine("a")
    light = made("light")
    path = light.pictures["path"][0]
    picture = light.picture(path)
    here = replace(built, home=tmp_path / "b", project=toy_copy)
    tag = here.answer("build", "--bundle", str(light.folder), "--version", "8")["tag"]
    file, place = tmp_path / "keys", tmp_path / "place"
    access, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    file.write_text(f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n")
    for name, value in (here.environment | {"EIDOLON_THUMBNAILS_KEYS": str(file)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of another, which the Bento does not get")
    place.mkdir()
    with server.served(tag, place, timeout=300) as url:
        answer = httpx.get(f"{url}/images/{path}", timeout=60, trust_env=False)
        assert answer.status_code == 200, (place / "log").read_text()
        assert answer.content == picture
    assert len(list((tmp_path / "b" / "thumbnails").glob("??/*"))) == 1
