"""A picture is drawn once, even if processes are killed and several share a store."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from components import config, manifest
from components.imagining.recipes import address_of
from components.imagining.store import Store
from components.paths import DATASET, SHARDS
from tests import toy
from tests.imagining import drawn, pixels
from tests.kills import Changes

KILLS = 20

# children are forked from a process that has imported everything; else each would take 10 s
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "components.imagining.generator",
        "components.imagining.shards",
        "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
        "tests.test_imagining_kills",
    ]
)


@dataclass(frozen=True)
class Project:
    """A folder in which `eidolon imagine 0` runs."""

    root: Path

    @property
    def store(self) -> Store:
        return Store(self.root / ".eidolon" / "imagined")

    def start(self, last: int = 0) -> BaseProcess:
        """Start it. It is killed just before it changes file number ``last``."""
        process = CONTEXT.Process(target=_imagine, args=(self.root, last))
        process.start()
        return process

    def run(self) -> int:
        """Run to the end. Returns the number of pictures that were drawn."""
        (self.root / "log").unlink(missing_ok=True)
        process = self.start()
        process.join()
        assert process.exitcode == 0, self.log()
        return drawn(self.log())

    def log(self) -> str:
        """The output of all its processes."""
        return (self.root / "log").read_text()

    def stored(self) -> dict[str, tuple[int, int]]:
        """Address, inode and time of each picture in the store."""
        return {
            path.stem: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in self.store.root.glob("[0-9a-f][0-9a-f]/*.png")  # not what is written aside
            if not path.name.startswith(".")
        }

    def files(self) -> list[str]:
        """All files and folders in data/ and in the store."""
        places = (self.root / "data", self.store.root)
        return sorted(
            str(path.relative_to(self.root)) for place in places for path in place.rglob("*")
        )

    def manifest(self) -> pd.DataFrame:
        return pd.read_csv(self.root / SHARDS / "0" / "manifest.csv")


def _imagine(root: Path, last: int = 0) -> None:
    """In a child process: the command `eidolon imagine 0`; see :meth:`Project.start`."""
    from components.cli.__main__ import app

    os.chdir(root)
    os.environ.pop("EIDOLON_STORE", None)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    changes = Changes(root, last)
    app(["imagine", "0"], standalone_mode=False)
    (root / "changes").write_text(str(changes.seen))


@pytest.fixture
def project(toy_models: Path, tmp_path: Path) -> Callable[[str], Project]:
    from components.imagining.plan import plan

    values = toy.params(toy_models, toy_models)
    values["generator"] |= {"images_per_category": 3, "batch": 2, "shards": [0]}

    def make(name: str) -> Project:
        root = tmp_path / name
        (root / DATASET).mkdir(parents=True)
        (root / "params.yaml").write_text(yaml.safe_dump(values))
        rows = [
            dict.fromkeys(manifest.DATASET_COLUMNS, "-") | {"category": name} for name in toy.NAMES
        ]
        pd.DataFrame(rows).to_csv(root / DATASET / "manifest.csv", index=False)
        chosen = config.load(root / "params.yaml").generator
        plan(chosen, root / DATASET, root / "data" / "plan")
        return Project(root)

    return make


def test_killed_at_any_moment_a_run_resumes_where_it_was(
    project: Callable[[str], Project],
) -> None:
    """kill -9 at random moments; a run that resumes after it must equal the whole run.

    A moment is a number of changed files, from none to all.
    """
    whole = project("whole")
    total = whole.run()
    expected = whole.manifest()
    assert total == len(expected) == 3 * len(toy.NAMES)
    changes = int((whole.root / "changes").read_text())
    assert changes > 2 * total  # each picture is written to another name and renamed

    moments, partly = random.Random(0), 0
    for i in range(KILLS):
        killed = project(f"killed-{i}")
        process = killed.start(moments.randint(1, changes))
        process.join()
        assert process.exitcode == -signal.SIGKILL
        before = killed.stored()
        assert all(killed.store.get(at) for at in before), "torn"
        again = killed.run()
        assert again + len(before) == total, "drawn twice, or lost"
        assert before.items() <= killed.stored().items(), "stored twice"
        assert killed.files() == whole.files()
        pd.testing.assert_frame_equal(
            killed.manifest().drop(columns="sha256"), expected.drop(columns="sha256")
        )
        for path in expected["path"]:
            one, other = (p.root / SHARDS / "0" / path for p in (killed, whole))
            assert np.abs(pixels(one) - pixels(other)).max() <= 1
        partly += 0 < len(before) < total
    assert partly >= KILLS // 2, "too few of the moments lay within the drawing"


def test_an_orphan_of_a_killed_parent_is_waited_for(project: Callable[[str], Project]) -> None:
    """kill -9 of the parent alone, such as `dvc repro`. The command itself lives on, and a run that
    resumes must not draw the same pictures."""
    whole = project("whole")
    total = whole.run()
    for so_many in (0, 1, 7, 16, total):
        killed = project(f"killed-{so_many}")
        parent = CONTEXT.Process(target=_parent, args=(killed.root,))
        parent.start()
        until(lambda killed=killed, least=so_many: len(killed.stored()) >= least)
        parent.kill()
        parent.join()
        again = killed.start()
        again.join()
        assert again.exitcode == 0, killed.log()
        assert drawn(killed.log()) == total, "drawn twice, or lost"
        until(lambda killed=killed: killed.files() == whole.files())


def test_two_processes_share_one_store(project: Callable[[str], Project]) -> None:
    """Two clones share a store and draw the same pictures at the same time: no file is torn, and
    none is drawn twice."""
    one = project("one")
    other = project("other")
    (other.root / ".eidolon").mkdir()
    one.store.root.mkdir(parents=True)
    (other.root / ".eidolon" / "imagined").symlink_to(one.store.root)
    processes = [one.start(), other.start()]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    addresses = [*one.manifest()["address"]]
    assert addresses == [*other.manifest()["address"]]
    assert all(one.store.get(at) for at in addresses)
    assert drawn(one.log()) + drawn(other.log()) == len(addresses)
    assert not list(one.store.root.rglob("*.part"))


def test_only_claims_of_the_same_picture_wait(tmp_path: Path) -> None:
    one, two, three = (address_of(text) for text in "abc")
    with Store(tmp_path).writing(), Store(tmp_path).claiming([one, two]):
        asks = [CONTEXT.Process(target=_claim, args=(tmp_path, at)) for at in (three, two)]
        for process in asks:
            process.start()
        asks[0].join()
        assert asks[0].exitcode == 0
        asks[1].join(0.2)
        assert asks[1].is_alive()
    asks[1].join()
    assert asks[1].exitcode == 0


def _claim(root: Path, address: str) -> None:
    with Store(root).claiming([address]):
        pass


def _parent(root: Path) -> None:
    """In a child process: the parent of the command `eidolon imagine 0`."""
    if os.fork() == 0:
        try:
            _imagine(root)
        finally:
            os._exit(0)
    os.wait()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.001)
