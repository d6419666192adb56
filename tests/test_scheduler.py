"""The real scheduler and API server: `make up`, a run over REST, `make down`."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.clones import Clone, free_ports

pytestmark = pytest.mark.slow
SECRETS = {
    "AIRFLOW__API__SECRET_KEY": "s3cr3t-airflow",
    "MLFLOW_TRACKING_PASSWORD": "s3cr3t-mlflow",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t-cloud",
}


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


def test_a_run_on_the_scheduler(clone: Clone) -> None:
    home = clone.root / ".eidolon"
    up = clone.ops("up")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "nothing is deployed yet" in up.stdout

    airflow = f"http://127.0.0.1:{clone.env['EIDOLON_AIRFLOW_PORT']}"
    passwords = home / "airflow" / "simple_auth_manager_passwords.json.generated"
    login = {"username": "admin", "password": json.loads(passwords.read_text())["admin"]}
    with httpx.Client(base_url=airflow, timeout=60, trust_env=False) as client:
        token = client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        runs = "/api/v2/dags/retrain/dagRuns"
        assert client.get(runs).raise_for_status().json()["total_entries"] == 0
        body = {"dag_run_id": "by-hand", "logical_date": None, "conf": {}}
        client.post(runs, json=body).raise_for_status()
        state = ""
        while state not in ("success", "failed"):
            time.sleep(1)
            state = client.get(f"{runs}/by-hand").raise_for_status().json()["state"]
        tasks = client.get(f"{runs}/by-hand/taskInstances").raise_for_status().json()
        assert state == "success", tasks
        assert {task["state"] for task in tasks["task_instances"]} == {"success"}
        emitted = client.get("/api/v2/assets/events").raise_for_status().json()["asset_events"]
        assert emitted[0]["extra"].items() >= {"version": "1"}.items()

    assert clone.champion() == "1"
    port = clone.env["EIDOLON_PORT"]
    lineage = httpx.get(f"http://127.0.0.1:{port}/bundle", timeout=60, trust_env=False)
    assert lineage.json()["version"] == 1
    ui = httpx.get(f"http://127.0.0.1:{clone.env['EIDOLON_MLFLOW_PORT']}/", trust_env=False)
    assert ui.status_code == 200
    a_stopped_endpoint_is_deployed_again(clone, f"http://127.0.0.1:{port}/readyz")

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


def a_stopped_endpoint_is_deployed_again(clone: Clone, health: str) -> None:
    """The pointer names the champion's Bento all the time, so it cannot tell."""
    stop = "from ops.services import Supervisor; Supervisor()._calls().stopProcess('endpoint')"
    assert clone.shell(sys.executable, "-c", stop).returncode == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(health, trust_env=False)
    repaired = clone.ops("deploy")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert "the endpoint does not answer: it is deployed again" in repaired.stdout + repaired.stderr
    assert httpx.get(health, timeout=60, trust_env=False).status_code == 200
    assert "is live already" in clone.ops("deploy").stdout


def test_taken_ports_are_reported_before_anything_starts(clone: Clone) -> None:
    port = clone.env["EIDOLON_MLFLOW_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        done = clone.ops("up")
    assert done.returncode == 2
    assert f"{port} for mlflow is taken" in done.stderr and "EIDOLON_MLFLOW_PORT" in done.stderr
    assert not (clone.root / ".eidolon" / "supervisor.conf").exists()
