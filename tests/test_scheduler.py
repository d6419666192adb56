"""The real scheduler and API server: `make up`, a run over REST, `make down`."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from mlflow import MlflowClient

from tests.clones import Clone, free_ports
from tests.hooks import Hook, receiving

pytestmark = pytest.mark.slow
SECRETS = {
    "AIRFLOW__API__SECRET_KEY": "s3cr3t-airflow",
    "MLFLOW_TRACKING_PASSWORD": "s3cr3t-mlflow",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-cloud",
}


ASKING = ("awaiting_input", "deferred")
"""The states of a task that waits for a person."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with receiving() as server:
        yield server


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    clone = Clone(tmp_path)
    names = ("EIDOLON_AIRFLOW_PORT", "EIDOLON_MLFLOW_PORT", "EIDOLON_PORT")
    for name, port in zip(names, free_ports(3), strict=True):
        clone.env[name] = str(port)
    clone.env |= SECRETS
    yield clone
    clone.ops("down")


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process whose environment names ``home``."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in process.environ().values():
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@contextmanager
def airflow(clone: Clone) -> Iterator[httpx.Client]:
    """Airflow's REST interface, for the administrator."""
    at = f"http://127.0.0.1:{clone.env['EIDOLON_AIRFLOW_PORT']}"
    folder = clone.root / ".eidolon" / "airflow"
    passwords = folder / "simple_auth_manager_passwords.json.generated"
    login = {"username": "admin", "password": json.loads(passwords.read_text())["admin"]}
    with httpx.Client(base_url=at, timeout=60, trust_env=False) as client:
        token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_a_run_on_the_scheduler(clone: Clone, hook: Hook) -> None:
    home = clone.root / ".eidolon"
    clone.env |= {"EIDOLON_WEBHOOK": hook.url, "EIDOLON_DEADLINE_HOURS": "0.001"}
    up = clone.ops("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "nothing is deployed yet" in up.stdout

    with airflow(clone) as client:
        runs = "/api/v2/dags/retrain/dagRuns"
        assert client.get(runs).raise_for_status().json()["total_entries"] == 0
        body: dict[str, Any] = {"dag_run_id": "by-hand", "logical_date": None, "conf": {}}
        client.post(runs, json=body).raise_for_status()
        state = ""
        while state not in ("success", "failed"):
            time.sleep(1)
            state = client.get(f"{runs}/by-hand").raise_for_status().json()["state"]
        tasks = client.get(f"{runs}/by-hand/taskInstances").raise_for_status().json()
        assert state == "success", tasks
        assert {task["state"] for task in tasks["task_instances"]} == {"success"}
        emitted = events(client)
        assert emitted[0]["extra"].items() >= {"version": "1"}.items()
    late = "Eidolon: a run of the DAG retrain is not done after 0.001 hours: look at Airflow"
    assert late in [one["text"] for one in hook.got]

    endpoint = f"http://127.0.0.1:{clone.env['EIDOLON_PORT']}"
    served(endpoint, 1)  # by the DAG `deploy`
    assert clone.champion() == "1"
    ui = httpx.get(f"http://127.0.0.1:{clone.env['EIDOLON_MLFLOW_PORT']}/", trust_env=False)
    assert ui.status_code == 200
    moved_in_mlflow_is_served(clone, endpoint)
    gone_back_is_served(clone, endpoint)
    what_cannot_be_built_is_put_back(clone, endpoint)
    a_stopped_endpoint_is_deployed_again(clone, endpoint)
    a_person_decides(clone, endpoint, hook)
    a_failed_run_is_told(clone, hook)

    keys = [file.read_text() for file in (home / "keys").iterdir()]
    seen = set()
    for process in processes_of(home):
        with suppress(psutil.Error, OSError):  # some live only for a moment
            env = Path(f"/proc/{process.pid}/environ").read_text()
            command = " ".join(process.cmdline())
            assert not any(key in env + command for key in keys)
            assert "s3cr3t" not in command and "mlflow.db" not in command
            who = next((name for name in ("bentoml", "mlflow") if name in command), "others")
            seen.add(who)
            assert who != "bentoml" or "s3cr3t" not in env
            assert who != "mlflow" or "s3cr3t-airflow" not in env
    assert seen == {"bentoml", "mlflow", "others"}
    assert "mlflow.db" not in (home / "supervisor.conf").read_text()

    assert "already up" in clone.ops("up").stdout
    down = clone.ops("down")
    assert down.returncode == 0 and "stopped" in down.stdout
    assert processes_of(home) == []
    assert "nothing was running" in clone.ops("down").stdout


def events(client: httpx.Client) -> list[dict[str, Any]]:
    """The events of all assets. Airflow 3.3 answers 500 while a run that an event has created waits
    to be started."""
    deadline = time.monotonic() + 60
    while (reply := client.get("/api/v2/assets/events")).is_server_error:
        assert time.monotonic() < deadline, reply.text
        time.sleep(1)
    found: list[dict[str, Any]] = reply.raise_for_status().json()["asset_events"]
    return found


def served(endpoint: str, version: int) -> None:
    """Wait until the endpoint serves ``version``: a DAG starts within seconds, and a Bento too."""
    found, deadline = None, time.monotonic() + 180
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError, KeyError):
            found = httpx.get(f"{endpoint}/bundle", timeout=60, trust_env=False).json()["version"]
            if found == version:
                return
        time.sleep(1)
    raise AssertionError(f"version {found} is served, not {version}")


def another_version(clone: Clone, bundle: Path | None = None) -> None:
    """Register the bundle of version 1, or the changed one in the folder ``bundle``, once more, and
    move the alias to it: by MLflow's own API, as its pages do."""
    client = MlflowClient(f"http://127.0.0.1:{clone.env['EIDOLON_MLFLOW_PORT']}")
    run = client.get_run(str(client.get_model_version("eidolon", "1").run_id))
    if bundle is not None:
        run = client.create_run(run.info.experiment_id)
        client.log_artifacts(run.info.run_id, str(bundle), "bundle")
    source = f"{run.info.artifact_uri}/bundle"
    made = client.create_model_version("eidolon", source, run.info.run_id)
    client.set_registered_model_alias("eidolon", "champion", made.version)


def moved_in_mlflow_is_served(clone: Clone, endpoint: str) -> None:
    another_version(clone)
    served(endpoint, 2)
    assert "found 1 → 2" in clone.shell("eidolon", "history").stdout


def gone_back_is_served(clone: Clone, endpoint: str) -> None:
    """The Bento of version 1 is still loaded."""
    done = clone.shell("eidolon", "rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert httpx.get(f"{endpoint}/bundle", timeout=60, trust_env=False).json()["version"] == 1
    assert clone.champion() == "1"


def what_cannot_be_built_is_put_back(clone: Clone, endpoint: str) -> None:
    """One byte of the bundle is another. The task fails for good, and the alias moves back."""
    damaged = clone.root / "damaged"
    shutil.copytree(clone.root / "artifacts" / "bundle", damaged)
    weights = damaged / "aggregator.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    another_version(clone, damaged)
    deadline = time.monotonic() + 180
    while clone.champion() != "1":
        assert time.monotonic() < deadline
        time.sleep(2)
    told = clone.shell("eidolon", "history", "--limit", "1", "--json")
    (move,) = json.loads(told.stdout)
    assert (move["how"], move["before"], move["version"]) == ("put back", "3", "1")
    assert "aggregator.safetensors is missing or not the file" in move["reason"]
    served(endpoint, 1)


def a_stopped_endpoint_is_deployed_again(clone: Clone, endpoint: str) -> None:
    """The pointer names the champion's Bento all the time, so it cannot tell."""
    stop = (
        "from ops.services import Supervisor\n"
        "for name, state in Supervisor().states().items():\n"
        "    if state == 'RUNNING' and name.startswith(('endpoint', 'bento')):\n"
        "        Supervisor()._calls().stopProcess(name)"
    )
    assert clone.shell(sys.executable, "-c", stop).returncode == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{endpoint}/readyz", trust_env=False)
    repaired = clone.ops("deploy")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert httpx.get(f"{endpoint}/readyz", timeout=60, trust_env=False).status_code == 200
    assert "is live already" in clone.ops("deploy").stdout


def a_person_decides(clone: Clone, endpoint: str, hook: Hook) -> None:
    """Version 2, which `eidolon rollback` had left, is refused, and then approved."""
    client = MlflowClient(f"http://127.0.0.1:{clone.env['EIDOLON_MLFLOW_PORT']}")
    client.set_registered_model_alias("eidolon", "challenger", "2")
    assert answer(clone, "Reject")["promote"] == "skipped"
    assert clone.champion() == "1"
    assert answer(clone, "Approve")["promote"] == "success"
    assert clone.champion() == "2"
    assert "by admin" in clone.shell("eidolon", "history", "--limit", "1").stdout
    served(endpoint, 2)
    told = [one["text"] for one in hook.got]
    assert told.count("Eidolon: version 2 waits 24 hours for approval: as the test says") == 2


def a_failed_run_is_told(clone: Clone, hook: Hook) -> None:
    """Once, by Airflow's DAG processor, with the reason and the page of the task."""
    runs, source = "/api/v2/dags/ingest/dagRuns", str(clone.root / "nothing-is-here")
    body = {"dag_run_id": "wrong", "logical_date": None, "conf": {"source": source}}
    with airflow(clone) as client:
        client.post(runs, json=body).raise_for_status()
    deadline = time.monotonic() + 180
    while not (told := [one for one in hook.got if one.get("dag") == "ingest"]):
        assert time.monotonic() < deadline
        time.sleep(1)
    (failed,) = told
    assert (failed["run"], failed["task"]) == ("wrong", "collect")
    assert "nothing-is-here" in failed["reason"] and failed["reason"] in failed["text"]
    port = clone.env["EIDOLON_AIRFLOW_PORT"]
    page = f"http://127.0.0.1:{port}/dags/ingest/runs/wrong/tasks/collect"
    assert failed["page"].startswith(page)


def answer(clone: Clone, option: str) -> dict[str, str]:
    """Let version 2 pass the gate, answer the DAG `approve` as the administrator, and wait for its
    end. Returns the states of its tasks."""
    passed = {"version": "2", "champion": "1", "reason": "as the test says"}
    runs = "/api/v2/dags/approve/dagRuns"
    with airflow(clone) as client:
        known = client.get("/api/v2/assets", params={"name_pattern": "passed"}).json()["assets"]
        event = {"asset_id": known[0]["id"], "extra": passed}
        client.post("/api/v2/assets/events", json=event).raise_for_status()
        deadline = time.monotonic() + 180
        waiting: list[dict[str, Any]] = []
        while not waiting:
            assert time.monotonic() < deadline
            time.sleep(1)
            details = client.get(f"{runs}/~/hitlDetails").raise_for_status().json()["hitl_details"]
            waiting = [one for one in details if one["task_instance"]["state"] in ASKING]
        (asked,) = waiting
        assert asked["subject"] == "Shall version 2 become the champion?"
        assert asked["body"].startswith(
            "as the test says\n\n**Compared with text alone**\n\n| slice"
        )
        assert "/#/models/eidolon/versions/2)" in asked["body"]
        run = f"{runs}/{asked['task_instance']['dag_run_id']}"
        time.sleep(2)  # nobody answers faster, and Airflow 3.3 fails a task that is just suspended
        url, body = f"{run}/taskInstances/ask/-1/hitlDetails", {"chosen_options": [option]}
        client.patch(url, json=body).raise_for_status()
        while client.get(run).raise_for_status().json()["state"] not in ("success", "failed"):
            assert time.monotonic() < deadline
            time.sleep(1)
        tasks = client.get(f"{run}/taskInstances").raise_for_status().json()["task_instances"]
    return {task["task_id"]: task["state"] for task in tasks}


def test_taken_ports_are_reported_before_anything_starts(clone: Clone) -> None:
    port = clone.env["EIDOLON_MLFLOW_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        done = clone.ops("up")
    assert done.returncode == 2
    assert f"{port} for mlflow is taken" in done.stderr and "EIDOLON_MLFLOW_PORT" in done.stderr
    assert not (clone.root / ".eidolon" / "supervisor.conf").exists()
