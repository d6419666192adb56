"""A clone with three registered versions and their Bentos, to be pruned and removed from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.paths import DATASET
from components.pruning.garbage import below, size
from tests.clones import Clone
from tests.ingesting import KNOWN, tree

EIDOLON = str(Path(sys.executable).with_name("eidolon"))
VERSION = """
from components import config
from components.serving import bundle
from components.versioning import dvc
from ops import rollout
dvc.run("repro", "dataset")
bundle.bundle(config.load())
rollout.build(rollout.register("a run", print)["version"], print)
"""


class Site(Clone):
    """A clone with three versions and their Bentos: 2 is the previous champion, 3 the champion,
    which is deployed."""

    def python(self, code: str) -> str:
        """Run code that must succeed, and return what it prints."""
        return self.must(sys.executable, "-c", code)

    def must(self, *command: str) -> str:
        """Run a command that must succeed, and return what it prints."""
        done = self.shell(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def does(self, *arguments: str) -> str:
        """Run the command line, which must succeed, and return what it prints."""
        return self.must(EIDOLON, *arguments)

    def register(self) -> None:
        """Register what is here as the next version, and build its Bento."""
        self.python(VERSION)

    def eidolon(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.shell(EIDOLON, *arguments)

    def bentos(self) -> set[str]:
        """The versions that the store has Bentos of."""
        found = (self.root / ".eidolon" / "bentoml" / "bentos" / "eidolon").glob("v*")
        return {place.name.partition("-")[0] for place in found}

    def artifacts(self, version: str) -> set[str]:
        """What MLflow keeps of a version, by path."""
        code = f"from components.lifecycle import registry as r; print(r.registered('{version}')"
        place = self.root / ".eidolon" / "mlartifacts" / self.python(f"{code}.run_id)").strip()
        return {file.relative_to(place / "artifacts").as_posix() for file in below(place)}

    def files(self) -> int:
        """Bytes of all that is on disk."""
        return size([*below(self.root / ".eidolon"), *below(self.root / ".dvc" / "cache")])


@pytest.fixture(scope="module")
def site(built_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("pruning")
    site = Site(home / "site")
    for folder in ("artifacts", "data"):
        shutil.copytree(built_toy / folder, site.root / folder)
    shutil.rmtree(site.root / DATASET)
    site.register()
    for number in (2, 3):
        site.does("ingest", str(tree(home / str(number), {KNOWN: number - 1})))
        site.register()
    for number, more in (("2", ["--no-deploy"]), ("3", [])):
        site.does("promote", number, "--reason", "a test", *more)
    yield site


@pytest.fixture
def copy(site: Site, tmp_path: Path) -> Site:
    """A copy that a test may change. The registry's addresses are those of the copy."""
    root = tmp_path / "site"
    subprocess.run(["cp", "-a", str(site.root), str(root)], check=True)  # keeps links
    code = (
        "import sqlite3; c = sqlite3.connect('.eidolon/mlflow.db')\n"
        "for t, f in (('runs', 'artifact_uri'), ('experiments', 'artifact_location'),"
        " ('model_versions', 'storage_location'), ('model_versions', 'source')):\n"
        f"    c.execute(f\"update {{t}} set {{f}} = replace({{f}}, '{site.root}', '{root}')\")\n"
        "c.commit()"
    )
    copied = object.__new__(Site)
    copied.root, copied.env = root, site.env
    copied.python(code)
    return copied
