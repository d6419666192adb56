"""The DAG `monitor`: as Airflow parses it, and one run with an alarm and one without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clones import clean_environment
from tests.hooks import receiving
from tests.toy import ROOT

_PARSE = """
import json, sys
import monitor as module
heavy = {"torch", "mlflow", "great_expectations", "diffusers", "transformers", "bentoml", "pandas",
         "sklearn"}
heavy &= set(sys.modules)
dag = module.monitor()
print(json.dumps({
    "heavy": sorted(heavy),
    "cron": dag.timetable.expression,
    "catchup": dag.catchup,
    "max_active_runs": dag.max_active_runs,
    "doc": dag.doc_md,
    "tasks": {t.task_id: {
        "downstream": sorted(t.downstream_task_ids),
        "outlets": [o.name for o in t.outlets],
        "retries": t.retries,
        "timeout": t.execution_timeout.total_seconds(),
        "owner": t.owner,
        "doc": t.doc_md,
    } for t in dag.tasks},
}))
"""

_RUN = """
import json, os, sys
from pathlib import Path
import monitor as module
import perform
from components.errors import EidolonError
from ops import monitoring
perform.HOME = Path(os.environ["AIRFLOW_HOME"])  # the record of the run
found = {"summary": "s", "alarms": ["a"] if sys.argv[1] == "1" else [],
         "retrain": sys.argv[1] == "1", "champion": "7", "page": "p", "mlflow": "m"}
told = []
def observe(log):
    if sys.argv[1] == "2":
        raise EidolonError("http://me:s3cr3t@h is away")
    return found
monitoring.observe = observe
monitoring.notify = lambda found, log: told.append(found)
run = module.monitor().test()
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
with create_session() as session:
    events = [e.extra for e in session.query(AssetEvent)]
print(json.dumps({
    "run": str(run.state),
    "states": {t.task_id: str(t.state) for t in run.get_task_instances()},
    "told": told == [found],
    "events": events,
}))
"""


def python(home: Path, code: str, *arguments: str, **variables: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=clean_environment()
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'dags'}",
        }
        | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_looks_every_day_and_imports_nothing_heavy(tmp_path: Path) -> None:
    parsed = python(tmp_path, _PARSE)
    assert parsed["heavy"] == []
    assert parsed["cron"] == "0 5 * * *" and not parsed["catchup"]
    assert parsed["max_active_runs"] == 1 and "docs/monitoring.md" in parsed["doc"]
    tasks = parsed["tasks"]
    assert tasks["observe"]["downstream"] == ["ask", "notify"]
    assert {name: task["outlets"] for name, task in tasks.items()} == {
        "observe": [],
        "notify": [],
        "ask": ["drift"],
    }
    for name, task in tasks.items():
        assert task["retries"] and task["timeout"] and task["doc"], name
        assert task["owner"] == "eidolon", name


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("airflow")
    migrate = "from airflow.utils.db import initdb; initdb(); print('null')"
    python(home, migrate)
    return home


@pytest.mark.slow
def test_an_alarm_emits_the_asset_and_none_skips_it(airflow: Path) -> None:
    calm = python(airflow, _RUN, "0")
    assert calm["states"] == {"observe": "success", "notify": "success", "ask": "skipped"}
    assert calm["run"] == "success" and calm["told"] and calm["events"] == []
    alarmed = python(airflow, _RUN, "1")
    assert set(alarmed["states"].values()) == {"success"}
    assert alarmed["events"] == [{"champion": "7", "alarms": ["a"], "mlflow": "m"}]


@pytest.mark.slow
def test_a_failed_run_is_told_once_with_the_task_and_the_reason(airflow: Path) -> None:
    with receiving() as hook:
        failed = python(airflow, _RUN, "2", EIDOLON_WEBHOOK=hook.url, NO_PROXY="*")
    assert failed["run"] == "failed" and failed["states"]["observe"] == "failed"
    (told,) = hook.got
    assert (told["dag"], told["task"]) == ("monitor", "observe")
    assert told["reason"] == "http://me:***@h is away"
    assert told["text"].startswith(f"Eidolon: the run {told['run']} of the DAG monitor has failed")
    assert told["page"].split("?")[0].endswith("/tasks/observe") and told["page"] in told["text"]
