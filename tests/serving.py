"""The toy project's Bento: built once for all tests, and served once from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bento import server
from tests.toy import ROOT


@dataclass(frozen=True)
class Built:
    """A Bento of the toy project in ``project``, and the state folder ``home`` that holds it."""

    home: Path
    project: Path
    tag: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `make` sets."""
        homes = {"EIDOLON_HOME": str(self.home), "BENTOML_HOME": str(self.home / "bentoml")}
        return os.environ | homes | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}

    def source(self, tag: str) -> Path:
        """The code inside the Bento ``tag``."""
        return self.home / "bentoml" / "bentos" / tag.replace(":", "/") / "src"

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one verb of bento.release in the toy project, as a DAG would."""
        return subprocess.run(
            [sys.executable, "-m", "bento.release", *arguments],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def answer(self, *arguments: str) -> dict[str, Any]:
        """The JSON of one verb that must succeed."""
        done = self.release(*arguments)
        assert done.returncode == 0, done.stderr
        value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return value


@dataclass(frozen=True)
class Served(Built):
    """A Bento that is served at ``url``, by a server that writes to ``log``."""

    url: str
    log: Path


@pytest.fixture(scope="session")
def built(built_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The Bento of the toy project's bundle as version 3."""
    empty = Built(tmp_path_factory.mktemp("home"), built_toy, "")
    answer = empty.answer("build", "--bundle", "artifacts/bundle", "--version", "3")
    assert answer["built"] is True
    return Built(empty.home, built_toy, answer["tag"])


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    """A client of the served Bento."""
    with httpx.Client(base_url=served.url, timeout=120, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def served(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same Bento, served until the last test."""
    place = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in built.environment.items():
            patch.setenv(name, value)
        with server.served(built.tag, place, timeout=300) as url:
            assert not list((place / "empty").iterdir())
            yield Served(built.home, built.project, built.tag, url, place / "log")
