"""Machines that share a place for objects draw each picture once, whatever ends in mid-run."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components import config
from components.errors import TransientError
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.recipes import Wanted, wanted
from components.imagining.sharing import Sharing
from components.imagining.store import Store
from components.objects import Objects
from tests import toy
from tests.buckets import BUCKET, server
from tests.toy import ROOT


@pytest.fixture(scope="module")
def params(toy_models: Path) -> config.Generator:
    values = toy.params(toy_models, toy_models)
    values["generator"] |= {"images_per_category": 3, "batch": 2, "shards": [0]}
    return config.Params.model_validate(values).generator


@pytest.fixture
def pictures(params: config.Generator) -> list[Wanted]:
    return wanted(params, toy.NAMES[:4])


def counted(text: str) -> tuple[int, int]:
    """How many pictures the last drawing in ``text`` fetched and drew."""
    fetched, drawn = re.findall(r"^imagine: (\d+) pictures fetched, (\d+) drawn$", text, re.M)[-1]
    return int(fetched), int(drawn)


def key(address: str) -> str:
    return f"imagined/{address[:2]}/{address}.png"


def test_what_one_machine_has_drawn_others_fetch(
    objects: Objects,
    params: config.Generator,
    pictures: list[Wanted],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    draw(pictures[:5], LazyGenerator(params), one)
    assert counted(capfd.readouterr().err) == (0, 5)
    addresses = draw(pictures, LazyGenerator(params), other).values()
    assert counted(capfd.readouterr().err) == (5, 7)
    draw(pictures, LazyGenerator(params), one)
    assert counted(capfd.readouterr().err) == (7, 0)
    assert objects.keys("imagined/") == sorted(map(key, addresses))
    for at in addresses:
        assert one.get(at) == other.get(at) == objects.read(key(at))


def test_a_damaged_object_is_drawn_again_and_replaced(
    objects: Objects,
    params: config.Generator,
    pictures: list[Wanted],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    torn, swapped, empty, *_ = draw(
        pictures, LazyGenerator(params), Store(tmp_path / "one")
    ).values()
    whole = objects.read(key(torn))
    assert whole is not None
    objects.write(key(torn), whole[:100])
    objects.write(key(swapped), whole)
    objects.write(key(empty), b"")
    draw(pictures, LazyGenerator(params), Store(tmp_path / "other"))
    assert counted(capfd.readouterr().err) == (9, 3)
    draw(pictures, LazyGenerator(params), Store(tmp_path / "third"))
    assert counted(capfd.readouterr().err) == (12, 0)


def test_what_was_drawn_before_anything_was_shared_is_shared(
    objects: Objects,
    params: config.Generator,
    pictures: list[Wanted],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("EIDOLON_OBJECTS")
        draw(pictures, LazyGenerator(params), Store(tmp_path / "one"))
        assert "fetched" not in capfd.readouterr().err
    assert not objects.keys()
    draw(pictures, LazyGenerator(params), Store(tmp_path / "one"))
    assert counted(capfd.readouterr().err) == (0, 0)
    assert len(objects.keys("imagined/")) == len(pictures)


KILLED = """
import os, signal, sys
from pathlib import Path
from components import config
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.recipes import wanted
from components.imagining.sharing import Sharing
from components.imagining.store import Store
from tests import toy

params, put, calls = config.load(Path(sys.argv[1])).generator, Sharing.put, []
def killed(self, addresses):
    calls.append(1)
    if len(calls) == 3:  # the third batch is in the store, and not shared
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, addresses)
Sharing.put = killed
draw(wanted(params, toy.NAMES[:4]), LazyGenerator(params), Store(Path(sys.argv[2])))
"""


def test_a_killed_worker_is_taken_over(
    objects: Objects,
    params: config.Generator,
    pictures: list[Wanted],
    toy_models: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    values = toy.params(toy_models, toy_models)
    values["generator"] |= params.model_dump(include={"images_per_category", "batch"})
    values["generator"] |= {"shards": [0]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "params.yaml"), str(tmp_path / "one")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    there = len(objects.keys("imagined/"))
    assert 2 <= there <= 4  # the second batch may have been on the way
    capfd.readouterr()
    addresses = draw(pictures, LazyGenerator(params), Store(tmp_path / "other")).values()
    assert counted(capfd.readouterr().err) == (there, 12 - there)
    draw(pictures, LazyGenerator(params), Store(tmp_path / "one"))
    assert counted(capfd.readouterr().err) == (6, 0)
    assert objects.keys("imagined/") == sorted(map(key, addresses))


def test_a_server_that_dies_in_mid_run_costs_nothing_that_was_drawn(
    params: config.Generator,
    pictures: list[Wanted],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EIDOLON_OBJECTS", f"s3://{BUCKET}/a")
    with server(tmp_path / "s3") as one:
        for name, value in one.variables.items():
            monkeypatch.setenv(name, value)
        put, calls = Sharing.put, list[int]()

        def dying(self: Sharing, addresses: list[str]) -> None:
            calls.append(1)
            if len(calls) == 3:
                one.kill()
            put(self, addresses)

        with monkeypatch.context() as patch:
            patch.setattr(Sharing, "put", dying)
            with pytest.raises(TransientError, match="cannot be reached"):
                draw(pictures, LazyGenerator(params), Store(tmp_path / "store"))
        one.start()
        capfd.readouterr()
        draw(pictures, LazyGenerator(params), Store(tmp_path / "store"))
        assert counted(capfd.readouterr().err) == (0, 6)
        draw(pictures, LazyGenerator(params), Store(tmp_path / "other"))
        assert counted(capfd.readouterr().err) == (12, 0)
