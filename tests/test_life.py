"""One clone's life on Airflow: interrupted, run, changed, damaged, rolled back, repaired."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from tests.clones import Clone

pytestmark = pytest.mark.slow
_STAGE = """
import sys
from components.errors import EidolonError
from ops import steps
try:
    steps.stage(sys.argv[1], "a run", print)
except EidolonError as error:
    sys.exit(f"error: {error}")
"""
_AGAIN = """
from ops import rollout, steps
passed = rollout.gate(rollout.register("a run", print)["version"], print)
for step in (lambda: rollout.build_passed(passed, print), lambda: rollout.follow(print)):
    try:
        step()
    except steps.NothingToDo as reason:
        print(reason)
"""


@pytest.mark.timeout(2700)
def test_make_run(tmp_path: Path) -> None:
    """Each run of Airflow takes a minute or two, so other checks call the steps of the DAG."""
    clone = Clone(tmp_path, shards=2)
    interrupt_in(clone, "imagine@0")
    lenient = yaml.safe_load((clone.root / "params.yaml").read_text())
    tag = a_refused_version_is_promoted_by_hand(clone, lenient)
    the_same_again_registers_nothing(clone, lenient, tag)

    changed = lenient | {"train": lenient["train"] | {"seed": 1}}
    set_params(clone, changed)
    assert clone.ops("run").returncode == 0
    second = summary_of(clone)
    assert cached(second) == stages_of(clone) - {"train", "evaluate", "calibrate", "bundle"}
    assert second["mlflow"]["version"] == clone.champion() == "2"
    assert second["bento"]["tag"] != tag

    a_damaged_model_stops_the_stage(clone)
    bad_pictures_stop_the_stage(clone, changed)
    a_damaged_dataset_stops_the_run(clone, changed)
    assert clone.champion() == "2"  # nothing was drawn, trained or promoted

    set_params(clone, changed)
    promote_and_deploy(clone, "1")
    told = clone.shell("eidolon", "history").stdout
    for part in ("rolled back 2 → 1", "promoted 1 → 2, by the DAG retrain", "for the test"):
        assert part in told
    repaired = clone.ops("run")
    assert repaired.returncode == 0
    assert cached(summary_of(clone)) == stages_of(clone)
    assert summary_of(clone)["mlflow"] == second["mlflow"]
    assert "version 2 was rolled back" in repaired.stdout  # and a retraining does not undo that
    assert clone.champion() == "1"
    assert summary_of(clone)["bento"]["tag"] == tag


def a_refused_version_is_promoted_by_hand(clone: Clone, lenient: dict[str, Any]) -> str:
    """No version reaches the gain that the gate demands here. Returns the Bento's tag."""
    set_params(clone, lenient | {"gate": lenient["gate"] | {"min_gain": 1.0}})
    done = clone.ops("run")
    assert done.returncode == 0, done.stdout + done.stderr
    first = summary_of(clone)
    assert set(first["stages"]) == stages_of(clone)
    assert cached(first) <= {"dataset", "plan", "imagine@1"}  # done before the interruption
    assert re.search(r"encode@1: \d+ of \d+ pictures encoded", done.stdout), done.stdout
    assert len(first["query"]["hits"]) == 5
    assert first["mlflow"]["version"] == "1" and first["bento"]["tag"] is None
    for part in ("mAP, with 95 %", "better than text alone", "eidolon promote 1 --reason"):
        assert part in done.stdout
    page = (clone.root / "artifacts" / "verdict" / "index.html").read_text()
    assert "Version 1" in page and "Better than text alone" in page
    served = clone.ops("serve")
    assert served.returncode == 2 and "`eidolon promote N --reason TEXT`" in served.stderr
    unasked = clone.shell("eidolon", "promote", "1")
    assert unasked.returncode == 2 and "did not pass the gate (" in unasked.stderr
    return promote_and_deploy(clone, "1")  # the command that the refusal names


def the_same_again_registers_nothing(clone: Clone, lenient: dict[str, Any], tag: str) -> None:
    set_params(clone, lenient)
    again = clone.shell(sys.executable, "-c", _AGAIN)
    assert again.returncode == 0, again.stderr
    assert "version 1 was registered before" in again.stdout
    assert again.stdout.count("unchanged: version 1 is the champion") == 2
    assert again.stdout.splitlines()[-1] == f"{tag} is live already"


def a_damaged_model_stops_the_stage(clone: Clone) -> None:
    weights = clone.root / "models" / "dino" / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:1000])
    failed = clone.shell(sys.executable, "-c", _STAGE, "validate")
    assert failed.returncode == 1
    assert "models/dino" in failed.stderr and "Traceback" not in failed.stdout + failed.stderr
    weights.write_bytes(good)


def bad_pictures_stop_the_stage(clone: Clone, changed: dict[str, Any]) -> None:
    strict = {"min_contrast": 0.5, "attempts": 0}
    set_params(clone, changed | {"validate": changed["validate"] | strict})
    failed = clone.shell(sys.executable, "-c", _STAGE, "validate")
    assert failed.returncode == 1
    assert "validation of the imagined pictures failed" in failed.stderr
    assert "artifacts/validation/index.html" in failed.stderr
    assert (clone.root / "artifacts" / "validation" / "index.html").is_file()
    kept_in_mlflow(clone, "validation", failed.stdout)


def a_damaged_dataset_stops_the_run(clone: Clone, changed: dict[str, Any]) -> None:
    """Half of the categories are lost; another seed has the dataset read again."""
    set_params(clone, changed | {"dataset": changed["dataset"] | {"seed": 7}})
    lose_half_of(clone.root / "pictures")
    failed = clone.ops("run")
    assert failed.returncode == 1
    (sentence,) = [s for s in failed.stderr.splitlines() if s.startswith("error: ")]
    assert "the dataset is not fit to train on" in sentence
    assert "Traceback" not in failed.stdout + failed.stderr
    kept_in_mlflow(clone, "inspection", (clone.root / ".eidolon/logs/run.log").read_text())
    give_back(clone.root / "pictures")


def set_params(clone: Clone, values: dict[str, Any]) -> None:
    (clone.root / "params.yaml").write_text(yaml.safe_dump(values))


def stages_of(clone: Clone) -> set[str]:
    """The tasks that run the stages of dvc.yaml, without `source`."""
    stages = set(yaml.safe_load((clone.root / "dvc.yaml").read_text())["stages"])
    return stages - {"source", "imagine"} | {"imagine@0", "imagine@1"}


def summary_of(clone: Clone) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((clone.root / "reports" / "summary.json").read_text())
    return value


def cached(summary: dict[str, Any]) -> set[str]:
    return {name for name, stage in summary["stages"].items() if stage["cached"]}


def interrupt_in(clone: Clone, stage: str) -> None:
    """Stop a run as Ctrl-C does, while the command of ``stage`` runs. No process may survive."""
    command = ["eidolon", *stage.split("@")]
    with clone.start("run") as process:
        run = psutil.Process(process.pid)
        while not any(named(child, command) for child in run.children(recursive=True)):
            assert process.poll() is None, f"{stage} did not run"
            time.sleep(0.05)
        family = run.children(recursive=True)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode == 130
    assert not psutil.wait_procs(family, timeout=60)[1]


def named(process: psutil.Process, command: list[str]) -> bool:
    """Whether ``process`` runs ``command``."""
    try:
        words = [Path(word).name for word in process.cmdline()]
    except psutil.Error:
        return False
    return words[-len(command) :] == command


def kept_in_mlflow(clone: Clone, what: str, log: str) -> None:
    """The log links the page of the failed check, and a run of MLflow keeps it as an artifact."""
    linked = re.search(r"what was found: (file://\S+)", log)
    assert linked and linked[1].endswith(f"/{what}/index.html")
    run = re.search(r"kept in MLflow: .* run (\w+)", log)
    assert run
    client = MlflowClient(f"sqlite:///{clone.root / '.eidolon' / 'mlflow.db'}")
    assert client.get_run(run[1]).info.status == "FAILED"
    assert f"{what}/index.html" in {a.path for a in client.list_artifacts(run[1], what)}


def lose_half_of(pictures: Path) -> None:
    """Remove every second category."""
    for folder in sorted(pictures.iterdir())[::2]:
        folder.rename(pictures.parent / f"lost-{folder.name}")


def give_back(pictures: Path) -> None:
    for folder in pictures.parent.glob("lost-*"):
        folder.rename(pictures / folder.name.removeprefix("lost-"))


def promote_and_deploy(clone: Clone, version: str) -> str:
    """Make ``version`` the champion by hand and deploy it. Returns the Bento's tag."""
    deployed = clone.shell("eidolon", "promote", version, "--reason", "for the test")
    assert deployed.returncode == 0, deployed.stderr
    pointer = json.loads((clone.root / ".eidolon" / "deployed.json").read_text())
    assert str(pointer["version"]) == clone.champion() == version
    return str(pointer["bento"])
