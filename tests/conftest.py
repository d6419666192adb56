"""Fixtures: a toy project, made once, in a folder of its own. And the checkout stays as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import settings

from tests import checkout, toy

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
settings.register_profile("eidolon", deadline=None)  # a busy machine is no failure
settings.load_profile("eidolon")

LONGEST = ("test_life.py", "test_scheduler.py")
BEFORE = pytest.StashKey[set[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that several at a time end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # one process looks, for all that run tests
        session.config.stash[BEFORE] = checkout.state(toy.ROOT)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What the tests changed in this checkout is a failure, in CI: a person may edit meanwhile, or
    run the services."""
    before = session.config.stash.get(BEFORE, None)
    if before is None:
        return
    changed = sorted(checkout.state(toy.ROOT) ^ before) if "CI" in os.environ else []
    if changed := [*changed, *checkout.broken_bytecode(toy.ROOT)]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nerror: the checkout is not as it was before the tests: {', '.join(changed)}")


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
