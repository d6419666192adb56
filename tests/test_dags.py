"""The DAGs as Airflow parses them, and `retrain` against dvc.yaml."""

from __future__ import annotations

import inspect
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cli import stages as stages_of_the_command_line
from components.versioning.up_to_date import stage_names
from ops.run import task_names
from tests.clones import clean_environment
from tests.toy import ROOT

_PARSE = """
import json, sys
from airflow.dag_processing.dagbag import BundleDagBag
from pathlib import Path
import ops.environment
ops.environment.ROOT = Path(sys.argv[2])  # of params.yaml
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=Path(sys.argv[1]), bundle_name="dags")
heavy = {"torch", "mlflow", "great_expectations", "diffusers", "transformers", "bentoml", "pandas"}
heavy &= set(sys.modules)
dag, ingest = bag.dags["retrain"], bag.dags["ingest"]
print(json.dumps({
    "errors": [str(e) for e in bag.import_errors.values()],
    "heavy": sorted(heavy),
    "dags": sorted(bag.dags),
    "docs": {f"{d.dag_id}.{t.task_id}": t.doc_md for d in bag.dags.values() for t in d.tasks}
        | {name: d.doc_md for name, d in bag.dags.items()},
    "told": [name for name, d in bag.dags.items() if d.has_on_failure_callback],
    "ingest": {
        "cron": ingest.timetable.expression,
        "catchup": ingest.catchup,
        "max_active_runs": ingest.max_active_runs,
        "tasks": {t.task_id: [o.name for o in t.outlets] for t in ingest.topological_sort()},
        "patient": all(t.retries and t.execution_timeout for t in ingest.tasks),
    },
    "order": [t.task_id for t in dag.topological_sort()],
    "catchup": dag.catchup,
    "max_active_runs": dag.max_active_runs,
    "cron": dag.timetable.timetable.expression,
    "assets": [a.name for a in dag.timetable.asset_condition.objects],
    "tasks": {t.task_id: {
        "downstream": sorted(t.downstream_task_ids),
        "retries": t.retries,
        "backoff": t.retry_exponential_backoff,
        "timeout": t.execution_timeout.total_seconds(),
        "pool": t.pool,
        "outlets": [o.name for o in t.outlets],
        "mapped_over": [o.task_id for o in t.iter_mapped_dependencies()] if t.is_mapped else None,
    } for t in dag.tasks},
}))
"""


def parse(home: Path, params: Path = ROOT) -> dict[str, Any]:
    """What Airflow, with its files in ``home``, makes of dags/ by params.yaml in ``params``."""
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(ROOT / "dags"), str(params)],
        cwd=ROOT,
        env=clean_environment() | {"AIRFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return parse(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return found


def after(tasks: dict[str, Any], task: str) -> set[str]:
    """All tasks that wait for ``task``."""
    found: set[str] = set()
    left = [task]
    while left:
        new = set(tasks[left.pop()]["downstream"]) - found
        found |= new
        left += new
    return found


def paths(entries: list[Any]) -> list[str]:
    return [e if isinstance(e, str) else next(iter(e)) for e in entries]


def test_a_task_s_log_shows_no_password(tmp_path: Path) -> None:
    """What Airflow logs by itself, such as the traceback of an unexpected error."""
    code = (
        "import structlog; from perform import hide_passwords; from airflow.sdk.log import *;"
        "hide_passwords(); configure_logging();"
        "structlog.get_logger().error('refused by http://me:s3cr3t-word@h')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_environment()
        | {
            "AIRFLOW_HOME": str(tmp_path),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'dags'}",
            "MLFLOW_TRACKING_URI": "http://me:s3cr3t-word@h",
        },
        capture_output=True,
        text=True,
    )
    printed = done.stdout + done.stderr
    assert "refused by http://me:***@h" in printed and "s3cr3t-word" not in printed


def test_it_parses_without_anything_heavy(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == []
    assert parsed["dags"] == ["approve", "deploy", "ingest", "monitor", "retrain"]
    assert parsed["heavy"] == []


def test_people_are_told_when_a_run_fails(parsed: dict[str, Any]) -> None:
    assert sorted(parsed["told"]) == parsed["dags"]


def test_every_dag_and_task_has_a_text_whose_links_a_browser_opens(parsed: dict[str, Any]) -> None:
    assert len(parsed["docs"]) > 30
    for name, text in parsed["docs"].items():
        assert text and text.strip(), name
        assert all(link.startswith("http") for link in re.findall(r"\]\(([^)]*)", text)), name
        assert "file:" not in text, name
    for stage in ("imagine", "train"):
        said = inspect.getdoc(getattr(stages_of_the_command_line, stage))
        assert parsed["docs"][f"retrain.{stage}"] == said


def test_it_runs_weekly_and_on_new_data_one_at_a_time(parsed: dict[str, Any]) -> None:
    assert parsed["cron"] == "0 3 * * 0"
    assert parsed["assets"] == ["dataset", "drift"]  # any of them
    assert parsed["max_active_runs"] == 1
    assert not parsed["catchup"]


def test_ingest_looks_every_quarter_of_an_hour_and_announces_the_dataset(
    parsed: dict[str, Any],
) -> None:
    found = parsed["ingest"]
    assert found["cron"] == "*/15 * * * *" and not found["catchup"]
    assert found["max_active_runs"] == 1 and found["patient"]
    assert list(found["tasks"].items()) == [
        ("collect", []),
        ("version", ["dataset"]),
        ("announced", []),
    ]


def test_its_stages_are_those_of_dvc(parsed: dict[str, Any], stages: dict[str, Any]) -> None:
    others = {"inspect", "register", "gate", "build", "check", "promote"}
    always = {name for name, stage in stages.items() if stage.get("always_changed")}
    assert always == {"source"}  # DVC runs it with whatever needs it
    assert set(parsed["tasks"]) - others == set(stages) - always


def test_nothing_is_drawn_before_the_dataset_is_inspected(parsed: dict[str, Any]) -> None:
    tasks = parsed["tasks"]
    assert "inspect" in tasks["dataset"]["downstream"]
    assert set(tasks) - after(tasks, "inspect") == {"dataset", "inspect"}


def test_the_board_of_a_run_has_its_order(
    parsed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    names = task_names(stage_names())
    assert list(dict.fromkeys(name.split("@")[0] for name in names)) == parsed["order"]


def test_airflow_maps_the_stages_that_dvc_repeats_for_each_shard(
    parsed: dict[str, Any], stages: dict[str, Any]
) -> None:
    mapped = {name: task["mapped_over"] for name, task in parsed["tasks"].items()}
    assert {name: over for name, over in mapped.items() if over is not None} == {
        "imagine": ["plan"]
    }
    repeated = {name: stage["matrix"] for name, stage in stages.items() if "matrix" in stage}
    assert repeated == {"imagine": {"shard": "${generator.shards}"}}


def test_several_accelerators_share_what_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["generator"]["shards"], params["train"]["accelerator"] = [0, 1, 2], True
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    parsed = parse(tmp_path / "airflow", tmp_path)
    encode = parsed["tasks"]["encode"]
    assert parsed["errors"] == [] and "a shard" in parsed["docs"]["retrain.encode"]
    assert encode["mapped_over"] == ["plan"] and encode["pool"] == "gpu"
    assert encode["downstream"] == ["validate"]
    assert parsed["tasks"]["generate"]["downstream"] == ["encode"]
    assert parsed["tasks"]["train"]["pool"] == "gpu"
    assert encode["retries"] >= 1 and encode["timeout"] > 0
    monkeypatch.chdir(tmp_path)
    board = task_names(stage_names(ROOT / "dvc.yaml"))
    assert [name for name in board if name.startswith("encode")] == [
        "encode@0",
        "encode@1",
        "encode@2",
    ]
    assert list(dict.fromkeys(name.split("@")[0] for name in board)) == parsed["order"]


def test_what_is_measured_needs_not_wait_for_the_threshold(parsed: dict[str, Any]) -> None:
    tasks = parsed["tasks"]
    assert tasks["train"]["downstream"] == ["calibrate", "evaluate"]
    assert tasks["evaluate"]["downstream"] == tasks["calibrate"]["downstream"] == ["bundle"]


def test_every_file_dependency_is_a_path(parsed: dict[str, Any], stages: dict[str, Any]) -> None:
    made = {
        Path(path): name
        for name, stage in stages.items()
        if not stage.get("always_changed")
        for kind in ("outs", "metrics", "plots")
        for path in paths(stage.get(kind, []))
    }
    found = 0
    for name, stage in stages.items():
        for dependency in map(Path, paths(stage["deps"])):
            for out, maker in made.items():
                if out == dependency or out in dependency.parents or dependency in out.parents:
                    assert name in after(parsed["tasks"], maker), f"{name} needs {maker}"
                    found += 1
    assert found > len(stages)


def test_nothing_is_promoted_unchecked(parsed: dict[str, Any]) -> None:
    order = ["bundle", "register", "gate", "build", "check", "promote"]
    for earlier, later in itertools.pairwise(order):
        assert later in after(parsed["tasks"], earlier)
    assert parsed["tasks"]["promote"]["outlets"] == ["champion"]


def test_every_task_has_retries_and_a_timeout(parsed: dict[str, Any]) -> None:
    for name, task in parsed["tasks"].items():
        assert task["retries"] >= 1 and task["backoff"] > 1 and task["timeout"] > 0, name
    pools = {name: task["pool"] for name, task in parsed["tasks"].items()}
    assert {name for name, pool in pools.items() if pool == "gpu"} == {
        "imagine",
        "validate",
        "embed",
        "calibrate",
    }
