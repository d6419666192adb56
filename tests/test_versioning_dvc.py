"""What DVC's failures mean, with DVC itself: each is one sentence, of the right class."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from components.errors import EXIT_CODE, TRY_AGAIN, EidolonError, TransientError
from components.versioning import dvc
from tests.neighbours import answering

DVC_YAML = """\
stages:
  one:
    cmd: cp given made
    deps: [given]
    outs: [made]
  two:
    cmd: eval "$TWO"
    deps: [made]
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC repository of two stages, of which the first is up to date."""
    root = tmp_path_factory.mktemp("template")
    with chdir(root):
        dvc.run("init", "--no-scm")
        (root / "given").write_text("given")
        (root / "dvc.yaml").write_text(DVC_YAML)
        dvc.run("repro", "one")
    return root


@pytest.fixture
def repository(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(template, tmp_path / "repository")
    monkeypatch.chdir(root)
    return root


def two(command: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        os.environ["TWO"] = command

    return change


def missing(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def written(name: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).write_text(text)

    return change


def remote(url: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        dvc.run("remote", "add", "--default", "storage", url)

    return change


def nothing(root: Path) -> None:
    pass


def locked_by_another(root: Path) -> None:
    """As a stage that runs elsewhere holds what it writes."""
    by = {"pid": os.getpid(), "cmd": "dvc repro"}
    (root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"write": {str(root / "made"): by}}))
    (root / "given").write_text("other")


@pytest.mark.parametrize(
    ("change", "command", "kind", "sentence"),
    [
        (missing("given"), "repro one", EidolonError, "No such file or directory: .*given"),
        (missing("made"), "repro --single-item two", EidolonError, "'made' does not exist"),
        (written("dvc.yaml", "stages: ["), "repro one", EidolonError, "unable to read: 'dvc.yaml'"),
        (written("dvc.yaml", "stages: {a: {x: 1}}"), "repro a", EidolonError, "validation failed"),
        (nothing, "repro nowhere", EidolonError, "'nowhere' not found inside 'dvc.yaml'"),
        (nothing, "push", EidolonError, "no remote specified"),
        (remote("oss://bucket/folder"), "push", EidolonError, "requires 'dvc-oss' to be inst"),
        (locked_by_another, "repro one", TransientError, "is busy"),
        (two("exit 1"), "repro two", TransientError, "exited with 1"),
        (two("kill -9 $$"), "repro two", TransientError, "exited with -9"),
        (two(f"echo error: bad >&2; exit {EXIT_CODE}"), "repro two", EidolonError, "bad"),
        (two(f"echo error: down >&2; exit {TRY_AGAIN}"), "repro two", TransientError, "down"),
    ],
)
def test_bad_input_is_told_apart_from_temporary_errors(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    command: str,
    kind: type[Exception],
    sentence: str,
) -> None:
    monkeypatch.setenv("TWO", "true")
    change(repository)
    with pytest.raises(kind, match=sentence) as error:
        dvc.run(*command.split())
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("repository")
def test_a_remote_that_is_down_is_asked_again() -> None:
    with answering(503) as url:
        remote(url)(Path())
        with pytest.raises(TransientError, match="files failed to upload"):
            dvc.run("push")
    with pytest.raises(TransientError, match=r"(?i)cannot connect"):  # it is gone completely
        dvc.run("push")


def test_a_full_disk_is_tried_again(repository: Path) -> None:
    """A limit on the size of files takes its place: the system refuses to write more."""
    (repository / "given").write_bytes(b"x" * 1_000_000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))

    done = subprocess.run(
        [sys.executable, "-m", "components.versioning.dvc_command", "repro", "one"],
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert done.returncode == TRY_AGAIN, done.stderr
    assert "Traceback" not in done.stderr
