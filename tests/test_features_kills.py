"""kill -9 at any moment of `embed`: the run that resumes gives the same, and encodes only the
rest."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from components.features.segments import _opened
from components.paths import ACCEPTED, DATASET, FEATURES, HOME
from tests.kills import Changes
from tests.test_features_store import encoded

KILLS = 20
STORE = HOME / "features"

# children are forked from a process that has imported everything; else each would take 10 s
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["components.features.embed", "components.models.encoders", "tests.test_features_kills"]
)


def _embed(root: Path, last: int) -> None:
    """In a child process: the command `eidolon embed`, which is killed just before it changes file
    number ``last`` in its store. Small batches are written at once, so that there are many."""
    from components.cli.__main__ import app
    from components.features import segments

    os.chdir(root)
    os.environ.pop("EIDOLON_FEATURES", None)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    segments._FLUSH_ROWS, segments._FAN = 4, 3
    changes = Changes(root / STORE, last)
    app(["embed"], standalone_mode=False)
    (root / "changes").write_text(str(changes.seen))


def start(root: Path, last: int = 0) -> BaseProcess:
    process = CONTEXT.Process(target=_embed, args=(root, last))
    process.start()
    return process


def run(root: Path) -> int:
    """Run to the end. Returns how many pictures were encoded."""
    process = start(root)
    process.join()
    said = (root / "log").read_text()
    assert process.exitcode == 0, said
    return encoded(said)[0]


def stored(root: Path) -> int:
    """The pictures that have all their rows in the store."""
    found: dict[str, set[bytes]] = {}
    for file in (root / STORE).glob("*/*.safetensors"):
        segment = _opened(file)
        assert segment is not None, "torn"
        found.setdefault(file.parent.name, set()).update(segment.keys.tolist())
    full = [keys for kind, keys in found.items() if not kind.startswith("texts")]
    both = [keys for kind, keys in found.items() if kind.startswith("clip")]
    if not both:
        return 0
    (clip,) = both
    vision = set().union(*(keys for keys in full if keys is not clip))
    return len(clip & vision) + len(vision - clip if len(full) > 2 else ())


@pytest.fixture
def project(built_toy: Path, tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        root = tmp_path / name
        for folder in (DATASET, ACCEPTED):
            shutil.copytree(built_toy / folder, root / folder)
        values = yaml.safe_load((built_toy / "params.yaml").read_text())
        values["encoders"] |= {"batch": 4}
        (root / "params.yaml").write_text(yaml.safe_dump(values))
        return root

    return make


def result(root: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (root / FEATURES).iterdir()}


def test_killed_at_any_moment_a_run_resumes_where_it_was(project: Callable[[str], Path]) -> None:
    whole = project("whole")
    total = run(whole)
    counts = [len(pd.read_csv(whole / part / "manifest.csv")) for part in (DATASET, ACCEPTED)]
    assert total == sum(counts)
    changes = int((whole / "changes").read_text())
    moments, partly = random.Random(0), 0
    for i in range(KILLS):
        killed = project(f"killed-{i}")
        process = start(killed, moments.randint(1, changes))
        process.join()
        assert process.exitcode == -signal.SIGKILL
        before = stored(killed)
        again = run(killed)
        assert again + before == total, "encoded twice, or lost"
        assert result(killed) == result(whole)
        assert not list((killed / STORE).rglob(".*.part"))
        assert run(killed) == 0
        partly += 0 < before < total
    assert partly >= KILLS // 2, "too few of the moments lay within the encoding"


def test_two_processes_share_one_store(project: Callable[[str], Path]) -> None:
    one, other = project("one"), project("other")
    (one / STORE).mkdir(parents=True)
    (other / HOME).mkdir()
    (other / STORE).symlink_to(one / STORE)
    processes = [start(one), start(other)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert result(one) == result(other)
    assert run(one) == run(other) == 0
    assert not list((one / STORE).rglob("*.part"))
