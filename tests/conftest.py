"""Fixtures: a toy project, made once, in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from tests import toy

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


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
