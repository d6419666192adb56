"""Fixtures: a toy project, made once, in a folder of its own. And the checkout stays as it was."""

from __future__ import annotations

import marshal
import os
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import settings

from tests import toy

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
settings.register_profile("eidolon", deadline=None)  # a busy machine is no failure
settings.load_profile("eidolon")

LONGEST = ("test_life.py", "test_scheduler.py")
CACHES = ("__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", ".egg-info")
BEFORE = pytest.StashKey[set[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that several at a time end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # one process looks, for all that run tests
        session.config.stash[BEFORE] = state()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What the tests changed in this checkout is a failure."""
    before = session.config.stash.get(BEFORE, None)
    if before is None:
        return
    changed = sorted(state() ^ before) + broken_bytecode()
    if changed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nerror: the checkout is not as it was before the tests: {', '.join(changed)}")


def state() -> set[str]:
    """What git says of each file that is not as it was committed, ignored ones too, but for caches
    and the virtual environment."""
    listed = subprocess.run(
        ["git", "status", "--porcelain", "--ignored", "--untracked-files=all", "-z"],
        cwd=toy.ROOT,
        capture_output=True,
        text=True,
        check=False,  # not a clone: nothing is known
    ).stdout.split("\0")
    caches = (*CACHES, ".venv", ".ready")
    return {line for line in listed if not any(cache in line for cache in caches)}


def broken_bytecode() -> list[str]:
    """Half-written .pyc files: Python would fail on them from now on."""
    broken = []
    for folder in ("components", "ops", "bento", "dags", "zoo", "study", "benchmarks", "tests"):
        for file in (toy.ROOT / folder).rglob("*.pyc"):
            try:
                marshal.loads(file.read_bytes()[16:])  # behind the header
            except (EOFError, ValueError, TypeError):
                broken.append(file.relative_to(toy.ROOT).as_posix())
    return broken


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the toy models, without a project."""
    folder = tmp_path_factory.mktemp("models")
    toy.save_models(folder)
    return folder


@pytest.fixture(scope="session")
def built_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy project after all its stages. Shared: tests must not change it."""
    root = toy.make_project(tmp_path_factory.mktemp("toy"))
    with chdir(root):
        toy.run_stages(root)
    return root


@pytest.fixture
def in_toy(built_toy: Path) -> Iterator[Path]:
    """Run in the (shared) toy project."""
    with chdir(built_toy):
        yield built_toy
