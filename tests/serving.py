"""The toy project's Bento, built, and served once for all tests, from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bento import server
from tests.toy import ROOT


@dataclass(frozen=True)
class Served:
    """A served Bento of the toy project."""

    url: str
    home: Path
    project: Path
    tag: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a shell of `make` has set."""
        homes = {"EIDOLON_HOME": str(self.home), "BENTOML_HOME": str(self.home / "bentoml")}
        return os.environ | homes | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}

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


@pytest.fixture(scope="session")
def served(built_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The toy project's bundle as version 3, served until the last test."""
    home = tmp_path_factory.mktemp("home")
    empty, log = tmp_path_factory.mktemp("empty"), home / "server.log"
    still = Served("", home, built_toy, "", log)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in still.environment.items():
            patch.setenv(name, value)
        built = still.answer("build", "--bundle", "artifacts/bundle", "--version", "3")
        assert built["built"] is True
        with server.served(built["tag"], empty, log, timeout=300) as url:
            assert not list(empty.iterdir())
            yield replace(still, url=url, tag=built["tag"])
