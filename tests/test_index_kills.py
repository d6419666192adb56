"""kill -9 at any moment of building an index: there is none, or the whole of it, and the next
attempt gives the same."""

from __future__ import annotations

import multiprocessing
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from components import config
from components.arrays import create, mapped
from components.files import folder_aside, sha256
from components.index import engines
from components.index.engine import Asked, Engine
from components.index.gallery import Gallery
from components.vectors import normalized
from tests.kills import Changes

ROWS, DIM = 20_000, 64
PARAMS = {"engine": "quantised"}

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["components.index.engines", "tests.test_index_kills"])


def build(out: Path, gallery: Path, last: int, seen: Path) -> None:
    """In a child process: what `bundle` does, killed just before change number ``last``."""
    changes = Changes(out.parent, last)
    with folder_aside(out) as aside:
        found = index(gallery)
        found.save(aside / engines.FILE)
    seen.write_text(str(changes.seen))


def index(gallery: Path) -> Engine:
    rows = mapped(gallery)
    clip, vision = np.asarray(rows["clip"]), np.asarray(rows["vision"])
    params = config.Index.model_validate(config.load().index.model_dump() | PARAMS)
    asked = Asked(clip[:1], vision[:1], 0.5)
    return engines.build(Gallery(clip, vision), params, asked, "made")


def started(*arguments: object) -> BaseProcess:
    process = CONTEXT.Process(target=build, args=arguments)
    process.start()
    return process


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    file = tmp_path / "gallery.safetensors"
    arrays = create(file, dict.fromkeys(("clip", "vision"), ((ROWS, DIM), "f4")))
    for array in arrays.values():
        array[...] = normalized(rng.standard_normal((ROWS, DIM), dtype=np.float32))
    return file


def test_killed_at_any_moment_an_index_is_whole_or_absent(gallery: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    out, seen = tmp_path / "work" / "bundle", tmp_path / "seen"
    began = time.monotonic()
    process = started(out, gallery, 0, seen)
    process.join()
    lasts = time.monotonic() - began
    expected, changes = sha256(out / engines.FILE), int(seen.read_text())
    assert process.exitcode == 0 and changes >= 3
    moments = [*range(1, changes + 1), *(-part for part in np.linspace(0.05, 0.95, 10))]
    for moment in moments:
        (out / engines.FILE).unlink()
        out.rmdir()
        process = started(out, gallery, max(0, int(moment)), seen)
        if moment < 0:  # at a time, not at a change: in the middle of computing or writing
            time.sleep(-moment * lasts)
            process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        if out.exists():
            assert sha256(out / engines.FILE) == expected
        process = started(out, gallery, 0, seen)
        process.join()
        assert process.exitcode == 0 and sha256(out / engines.FILE) == expected
        assert [path.name for path in out.parent.iterdir()] == ["bundle"]
