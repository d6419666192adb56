"""A stage is skipped when it was up to date as the run began and nothing of it has changed since;
any change has its work done again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import config
from components.errors import EidolonError
from components.paths import HOME
from components.versioning import dvc, up_to_date
from ops import release, rollout, run, steps, swap
from ops.environment import environment
from ops.record import Event
from tests.clones import Clone

PASSED = {"version": "7", "champion": "7", "reason": "unchanged"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the toy's models whose first two stages have run. Tests must not change it."""
    root = Clone(tmp_path_factory.mktemp("prepared") / "clone").root
    with chdir(root):
        dvc.run("repro", "plan")
    return root


@pytest.fixture
def clone(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    root = tmp_path / "clone"
    shutil.copytree(prepared, root, symlinks=True)
    monkeypatch.chdir(root)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    for module in ("ops.stage", "ops.processes"):
        monkeypatch.setattr(f"{module}.ROOT", root)
    of_clone = partial(environment, home=root / HOME)  # or else keys are made in this checkout
    monkeypatch.setattr("ops.processes.environment", of_clone)
    monkeypatch.setattr(steps, "PUSHED", root / ".eidolon" / "pushed")
    return root


def planned(name: str) -> list[str]:
    """What the task `plan` of the run ``name`` says."""
    told: list[str] = []
    steps.stage("plan", name, told.append)
    return told


def test_what_is_up_to_date_starts_no_process(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps.dataset("first", print)["cached"]

    def forbidden(*_: Any) -> None:
        raise AssertionError("a process was started")

    with monkeypatch.context() as patch:
        patch.setattr("ops.stage.running", forbidden)
        assert planned("first") == ["plan: up to date"]
    assert up_to_date.still(Path(".eidolon/snapshots/first"), "plan")
    assert not up_to_date.still(Path(".eidolon/snapshots/first"), "embed")  # it never ran


def edited(path: str) -> None:
    """A file with one more line."""
    file = Path(path)
    file.write_text(file.read_text() + "\n")


def reworded() -> None:
    values = yaml.safe_load(config.PARAMS.read_text())
    values["generator"]["prompt"] = "a drawing of a {}"
    config.PARAMS.write_text(yaml.safe_dump(values))


CHANGES: dict[str, Callable[[], object]] = {
    "a parameter": reworded,
    "code": lambda: edited("components/imagining/plan.py"),
    "code of the stage before": lambda: edited("components/datasets/splits.py"),
    "a lost output": lambda: shutil.rmtree("data/plan"),
    "a damaged output": lambda: edited("data/plan/0.csv"),
    "a damaged output of the stage before": lambda: edited("data/dataset/manifest.csv"),
    "a lost record": lambda: Path("dvc.lock").unlink(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_before_a_run_has_dvc_look_at_the_stage(clone: Path, what: str) -> None:
    before = Path("data/plan/0.csv").read_text()
    CHANGES[what]()
    steps.dataset("next", print)
    said = planned("next")
    # `dataset` ran again, and wrote the same as before
    assert (said == ["plan: up to date"]) == what.endswith("of the stage before")
    after = Path("data/plan/0.csv").read_text()
    assert (after == before) == (what != "a parameter")


@pytest.mark.parametrize("what", ["a lost output", "a damaged output"])
def test_a_change_during_a_run_has_dvc_look_at_the_stage(clone: Path, what: str) -> None:
    steps.dataset("first", print)
    before = Path("data/plan/0.csv").read_text()
    CHANGES[what]()
    assert planned("first") != ["plan: up to date"]
    assert Path("data/plan/0.csv").read_text() == before


@pytest.mark.parametrize("what", ["a parameter", "code", "a lost record"])
def test_other_changes_during_a_run_end_it(clone: Path, what: str) -> None:
    steps.dataset("first", print)
    CHANGES[what]()
    with pytest.raises(EidolonError):
        planned("first")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which dvc.lock records a stage that reads a model, and one after it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "clip").mkdir(parents=True)
    (tmp_path / "models" / "clip" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "features.bin").write_bytes(b"features")
    (tmp_path / "lambda.json").write_bytes(b"0.5")
    embed = {"deps": [{"path": "models", "md5": "1"}], "outs": [{"path": "features.bin"}]}
    train = {"deps": [{"path": "features.bin"}], "outs": [{"path": "lambda.json", "md5": "2"}]}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"embed": embed, "train": train}}))
    return tmp_path


def touched(path: Path) -> None:
    """Another content of the same size, with the old time of modification."""
    at = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))


FILES: dict[str, Callable[[Path], object]] = {
    "other weights": lambda root: touched(root / "models" / "clip" / "model.safetensors"),
    "one more file": lambda root: (root / "models" / "clip" / "config.json").write_text("{}"),
    "a lost file": lambda root: (root / "models" / "clip" / "model.safetensors").unlink(),
    "a link to a folder": lambda root: (root / "models" / "dino").symlink_to(root),
    "a lost output": lambda root: (root / "features.bin").unlink(),
    "another record": lambda root: (root / "dvc.lock").write_text(
        (root / "dvc.lock").read_text().replace("'1'", "'3'")
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_a_mark_covers_all_that_a_stage_reads_and_writes(recorded: Path, what: str) -> None:
    before = up_to_date.marks(["embed", "train"])
    assert list(before) == ["embed", "train"] == list(up_to_date.marks(["embed", "train", "none"]))
    FILES[what](recorded)
    after = up_to_date.marks(["embed", "train"])
    assert after.get("embed") != before["embed"]
    assert (after.get("train") == before["train"]) == (what != "a lost output")


def test_no_stage_after_a_changed_one_is_up_to_date() -> None:
    stages = ["dataset", "plan", "embed", "train"]
    marked = {name: f"mark of {name}" for name in stages}

    def found(status: dict[str, Any], marks: dict[str, str] = marked) -> list[str]:
        lines = ["Stage 'dataset' didn't change", json.dumps(marks), json.dumps(status)]
        return list(up_to_date.leading(lines, stages))

    assert found({}) == found({"source": ["always changed"]}) == stages
    assert found({"embed": [{"changed deps": {}}]}) == ["dataset", "plan"]
    assert found({"dataset": ["changed checksum"]}) == []
    assert found({}, {k: v for k, v in marked.items() if k != "plan"}) == ["dataset"]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What is deployed, and what the endpoint serves: version 7."""
    monkeypatch.setattr(run, "LOG", tmp_path / "run.log")
    deployed = {"bento": "eidolon:v7-abc", "version": 7, "served": True}
    monkeypatch.setattr(release, "deployed", lambda: deployed)
    monkeypatch.setattr(release, "build", lambda *_: {"tag": deployed.get("now", "eidolon:v7-abc")})
    monkeypatch.setattr(swap, "is_live", lambda tag, _: deployed["served"] and tag[-3:] == "abc")
    return deployed


def stays(passed: dict[str, Any], kind: Any = "done") -> str | None:
    return run._stays_live([Event("gate", kind, result=passed)])


def test_nothing_new_leaves_the_live_version(live: dict[str, Any]) -> None:
    assert stays(PASSED) == "7"
    assert stays(PASSED, "skipped") is None  # refused
    assert stays(PASSED | {"version": "8"}) is None  # a new version has passed the gate
    assert stays({"version": "6", "champion": "6"}) is None  # the champion was moved by hand


@pytest.mark.parametrize("changed", [{"served": False}, {"version": 6}, {"now": "eidolon:v7-def"}])
def test_what_is_not_live_is_deployed(live: dict[str, Any], changed: dict[str, Any]) -> None:
    """The endpoint was stopped; another version is deployed; the settings or the code changed."""
    live |= changed
    assert stays(PASSED) is None
    assert not rollout.stays_live(PASSED, print)


def test_a_bento_that_cannot_be_built_is_left_to_the_deployment(
    live: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise EidolonError("the model has changed")

    monkeypatch.setattr(release, "build", fails)
    assert stays(PASSED) is None
