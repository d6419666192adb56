"""Shared fixtures, such as a toy project that is built once. The tests must not change the
checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from PIL import Image

from components.datasets.emblems import Emblem, draw
from components.objects import Objects, shared
from components.paths import DATASET
from tests import checkout, toy
from tests.buckets import BUCKET, Server, server

os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
settings.register_profile("eidolon", deadline=None)  # a busy machine must not fail a test
settings.load_profile("eidolon")

LONGEST = ("test_cluster.py", "test_life.py", "test_faults.py", "test_scheduler.py")
BEFORE = pytest.StashKey[set[str]]()
CHANGED = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that files that run side by side end together."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # one process checks for all that run tests
        session.config.stash[BEFORE] = checkout.state(toy.ROOT)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if the tests changed this checkout. Only in CI: elsewhere a person may edit meanwhile,
    or run the services."""
    before = session.config.stash.get(BEFORE, None)
    if before is None:
        return
    changed = sorted(checkout.state(toy.ROOT) ^ before) if "CI" in os.environ else []
    if changed := [*changed, *checkout.broken_bytecode(toy.ROOT)]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[CHANGED] = changed


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last, below pytest's own summary, why a run fails in which all tests passed."""
    if changed := config.stash.get(CHANGED, []):
        print(f"\nerror: the checkout is not as it was before the tests: {', '.join(changed)}")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Undo what a test, or a command that runs in this process, did to the environment."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


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


@pytest.fixture
def toy_copy(built_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the toy project that a test may damage, as the working directory."""
    root = tmp_path / "toy"
    shutil.copytree(built_toy, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def dataset_copy(built_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of its dataset and params.yaml that a test may damage, as the working directory."""
    shutil.copytree(built_toy / DATASET, tmp_path / DATASET)
    shutil.copy(built_toy / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def toy_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy project with its dataset and no models. Shared: tests must not change it."""
    root = tmp_path_factory.mktemp("dataset")
    toy.save_dataset(root)
    return root


@pytest.fixture
def project(toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working directory, in which nothing was ingested."""
    subprocess.run(["cp", "-r", f"{toy_dataset}/.", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def family_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder per family of encoders. Shared: tests must not change it."""
    from tests import families

    root = tmp_path_factory.mktemp("families")
    families.save_encoders(root)
    return root


@pytest.fixture(scope="session")
def pipelines(toy_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion pipeline as toy/generator, and one of SDXL as xl. Shared."""
    from tests import families

    root = tmp_path_factory.mktemp("pipelines")
    (root / "toy").symlink_to(toy_models)
    torch.manual_seed(0)
    families.sdxl_turbo(root / "xl")
    return root


@pytest.fixture(scope="session")
def five_pictures() -> list[Image.Image]:
    """One picture of each of five categories."""
    return [draw(Emblem.parse(n), seed=3, subset="toy", index=0) for n in toy.NAMES[:5]]


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3-compatible server."""
    with server(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture(params=["folder", "s3"])
def objects(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Objects:
    """An empty place that all machines of a test share, which EIDOLON_OBJECTS names: a folder, and
    then a bucket."""
    place = (tmp_path / "objects").as_uri()
    if request.param == "s3":
        for name, value in request.getfixturevalue("s3_server").variables.items():
            monkeypatch.setenv(name, value)
        place = f"s3://{BUCKET}/{tmp_path.name}"
    monkeypatch.setenv("EIDOLON_OBJECTS", place)
    found = shared()
    assert found is not None
    return found
