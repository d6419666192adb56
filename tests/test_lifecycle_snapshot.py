"""What a run is of: pinned when it begins, whatever arrives while it lasts."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import yaml

from components import config
from components.collection import catalog
from components.collection.ingest import ingest
from components.datasets import source
from components.errors import EidolonError, TransientError
from components.lifecycle import registry, snapshot
from components.paths import HOME, POINTER, SOURCE
from components.versioning import dvc, lock
from ops import rollout, steps
from ops.environment import environment
from tests.clones import Clone
from tests.ingesting import NEW, tree

RUN = "manual__2026-11-27T10:00:00+00:00"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with the toy's models, as the working directory."""
    root = Clone(tmp_path / "clone").root
    monkeypatch.chdir(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("EIDOLON_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    monkeypatch.setattr("ops.stage.ROOT", root)
    monkeypatch.setattr("ops.processes.ROOT", root)
    of_clone = partial(environment, home=root / HOME)  # or else keys are made in this checkout
    monkeypatch.setattr("ops.processes.environment", of_clone)
    return root


def more(folder: Path, name: str = NEW) -> None:
    """Ingest five pictures."""
    ingest(tree(folder, {name: 5}), config.load().ingest)


def collected(of: snapshot.Snapshot) -> int:
    """How many pictures the collection had."""
    count: int = json.loads(of.files()["source.json"].read_text())["collection"]["pictures"]
    return count


def test_pictures_that_arrive_during_a_run_are_the_next_run_s(clone: Path, tmp_path: Path) -> None:
    steps.dataset(RUN, print)
    before = lock.dataset_hash()
    more(tmp_path / "new")
    assert not steps.stage("plan", RUN, print)["cached"]
    assert lock.dataset_hash() == before
    pinned = snapshot.of(RUN)
    assert pinned is not None and collected(pinned) == 0
    assert not pinned.files()["pictures.dvc"].exists()  # nothing had been ingested

    steps.dataset("the next run", print)
    assert lock.dataset_hash() != before
    later = snapshot.of("the next run")
    assert later is not None and collected(later) == 5
    # DVC had not seen the pictures yet
    assert later.files()["pictures.dvc"].read_text() == POINTER.read_text()
    with pytest.raises(EidolonError, match="data/dataset is no longer the one of this run"):
        steps.stage("plan", RUN, print)


def test_parameters_and_code_are_those_of_the_beginning(clone: Path) -> None:
    steps.dataset(RUN, print)
    values = yaml.safe_load(config.PARAMS.read_text())
    config.PARAMS.write_text("# a comment\n" + yaml.safe_dump(values))
    steps.stage("plan", RUN, print)
    config.PARAMS.write_text(yaml.safe_dump(values | {"train": values["train"] | {"seed": 9}}))
    with pytest.raises(EidolonError, match=r"params.yaml has changed .*\(train\): start a new run"):
        steps.stage("plan", RUN, print)
    with pytest.raises(EidolonError, match="has changed since this run"):
        rollout.register(RUN, print)
    config.PARAMS.write_text(yaml.safe_dump(values))
    code = clone / "components" / "names.py"
    code.write_text(code.read_text() + "\n# edited\n")
    with pytest.raises(EidolonError, match="the code has changed since this run began"):
        steps.imagine(0, RUN, print)


def test_pictures_that_arrive_while_the_dataset_is_read_are_read_too(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, told = snapshot.take, []

    def interrupted(run: str, begun: snapshot.Begun, attempt: int) -> snapshot.Snapshot | None:
        if attempt == 0:
            more(tmp_path / "new")
        return taken(run, begun, attempt)

    monkeypatch.setattr(snapshot, "take", interrupted)
    steps.dataset(RUN, told.append)
    assert "pictures were ingested meanwhile: the dataset is read again" in told
    pinned = snapshot.of(RUN)
    assert pinned is not None and lock.was_read("dataset", SOURCE)
    assert collected(pinned) == len(catalog.read()) == 5

    more(tmp_path / "more", "green dotted cross")
    with pytest.raises(TransientError, match="faster than"):
        taken(RUN, snapshot.begin(), 5)


def test_another_clone_has_no_snapshot_and_takes_what_was_made(clone: Path) -> None:
    assert snapshot.of("unheard of") is None
    steps.stage("plan", "unheard of", print)  # with the stages before it
    assert (clone / "data" / "dataset").is_dir()


def test_only_the_latest_snapshots_are_kept(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "KEPT", 2)
    dvc.run("repro", "dataset")
    for number in range(4):
        snapshot.take(f"run {number}", snapshot.begin())
    assert len(list(snapshot.FOLDER.glob("[!.]*"))) <= 3
    assert snapshot.of("run 3") is not None
    for task in (partial(steps.stage, "plan"), partial(steps.imagine, 0), rollout.register):
        with pytest.raises(EidolonError, match=r"older than the last 2, .*: start a new run"):
            task("run 0", print)
    assert not (clone / "data" / "plan").exists()  # no stage has run
    snapshot.take("run 0", snapshot.begin())  # its first task is repeated
    steps.stage("plan", "run 0", print)


def test_a_version_s_lineage_is_of_what_it_was_trained_on(
    toy_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures come between training and registering."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("EIDOLON_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    source.source(config.load().dataset)
    pins = {"code": "any", "dataset": lock.dataset_hash()}
    place = snapshot.FOLDER / "run"
    place.mkdir(parents=True)
    for name, path in snapshot.HERE.items():
        if path.is_file():
            (place / name).write_bytes(path.read_bytes())
    pinned = snapshot.Snapshot(place, **pins)
    before = pinned.files()["source.json"].read_text()
    more(tmp_path / "new")
    version = registry.register(config.load(), pinned.files())
    again = registry.register(config.load(), pinned.files())
    assert (version.created, again.created) == (True, False)
    assert again.version == version.version
    kept = registry.artifacts(registry.registered(version.version), "lineage")
    assert kept["lineage/source.json"] == before
    card = registry.client().get_model_version(registry.MODEL, version.version).description
    assert "## Mean average precision" in card and "| seen in training |" in card
