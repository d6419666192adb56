"""Several machines, rehearsed on one: `make cluster`, runs over two workers in clones of their own,
and workers that are killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from components.paths import BUNDLE, FEATURES
from tests.clones import Clone, free_ports
from tests.faulting import supervisor
from tests.test_scheduler import airflow, processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SHARDS, EVENTS = [0, 1, 2, 3], 50
TAKEN_OVER = 90.0
"""Seconds after which another worker must have the task of one that died."""


def change(clone: Clone, **generator: Any) -> None:
    """Change the section `generator` of params.yaml."""
    params = yaml.safe_load((clone.root / "params.yaml").read_text())
    params["generator"] |= generator
    (clone.root / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def head() -> Iterator[Clone]:
    """A checkout whose services are running. PostgreSQL's user must be able to enter its folder,
    which no folder of pytest allows."""
    root = Path(tempfile.mkdtemp(prefix="eidolon-cluster-"))
    root.chmod(0o755)
    clone = Clone(root)
    root.chmod(0o755)
    names = ("AIRFLOW_PORT", "MLFLOW_PORT", "PORT", "POSTGRES_PORT", "S3_PORT")
    for name, port in zip(names, free_ports(len(names)), strict=True):
        clone.env[f"EIDOLON_{name}"] = str(port)
    change(clone, shards=SHARDS)
    try:
        up = clone.ops("cluster")
        assert up.returncode == 0, up.stdout + up.stderr
        yield clone
    finally:
        clone.ops("down")
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A checkout that computes everything by itself."""
    return Clone(tmp_path_factory.mktemp("alone"))


def bundle_of(clone: Clone) -> Any:
    """What dvc.lock says of the bundle: the hashes of all that it was made of, and its own."""
    return yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"]["bundle"]["outs"]


def same_as_alone(head: Clone, alone: Clone) -> None:
    """The features and the bundle of the head are, to the byte, those of a single machine."""
    shutil.copy(head.root / "params.yaml", alone.root)
    done = alone.shell("dvc", "repro", "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in (FEATURES, BUNDLE):
        files = sorted(p.name for p in (alone.root / folder).iterdir())
        assert files == sorted(p.name for p in (head.root / folder).iterdir())
    for name in sorted(p.name for p in (alone.root / FEATURES).iterdir()):
        one, other = (clone.root / FEATURES / name for clone in (alone, head))
        assert one.read_bytes() == other.read_bytes(), name
    assert bundle_of(head) == bundle_of(alone)


def tries(head: Clone, task: str) -> list[dict[str, Any]]:
    """All attempts at ``task`` in the latest run of `retrain`."""
    runs = "/api/v2/dags/retrain/dagRuns"
    with airflow(head) as client:
        query = {"order_by": "-run_after", "limit": 1}
        (run,) = client.get(runs, params=query).raise_for_status().json()["dag_runs"]
        at = f"{runs}/{run['dag_run_id']}/taskInstances"
        found = client.get(at, params={"limit": 100}).raise_for_status().json()["task_instances"]
        mapped = [f"{at}/{task}/{t['map_index']}" for t in found if t["task_id"] == task]
        asked = [client.get(f"{one}/tries").raise_for_status().json() for one in mapped]
    return [attempt for answer in asked for attempt in answer["task_instances"]]


def test_two_workers_make_the_bundle_of_one_machine(head: Clone, alone: Clone) -> None:
    done = head.ops("run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 1 is deployed" in done.stdout
    drawn = tries(head, "imagine")
    assert [attempt["state"] for attempt in drawn] == ["success"] * len(SHARDS)
    assert {attempt["hostname"] for attempt in drawn} == {"worker-1", "worker-2"}
    encoded = tries(head, "encode")
    assert [attempt["state"] for attempt in encoded] == ["success"] * len(SHARDS)
    assert {attempt["hostname"] for attempt in encoded} == {"worker-1", "worker-2"}
    for said in (r"validate: 0 of [\d,]+ pictures measured", r"embed: 0 of [\d,]+ pictures"):
        assert re.search(said, done.stdout), done.stdout  # the workers have left them nothing
    same_as_alone(head, alone)


def test_what_is_secret_is_in_files_only(head: Clone) -> None:
    home = head.root / ".eidolon"
    keys = [file for file in (home / "keys").iterdir() if file.name != "s3.json"]
    assert all(file.stat().st_mode & 0o077 == 0 for file in (home / "keys").iterdir())
    secrets = [file.read_text().strip() for file in keys if "\n" not in file.read_text().strip()]
    running = processes_of(home)
    assert len(running) > 8
    for process in running:
        with suppress(psutil.Error, OSError):  # some live only for a moment
            shown = Path(f"/proc/{process.pid}/environ").read_text() + " ".join(process.cmdline())
            assert not any(secret in shown for secret in secrets)
    assert not any(secret in (home / "cluster.json").read_text() for secret in secrets)
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.pid:
            with suppress(psutil.Error):
                if psutil.Process(connection.pid).cwd().startswith(str(head.root)):
                    assert connection.laddr.ip in ("127.0.0.1", "::1"), connection


def at_work(head: Clone, stage: str) -> str:
    """Wait until a worker computes ``stage``. Returns its clone."""
    workers, deadline = head.root / ".eidolon" / "workers", time.monotonic() + 600
    while time.monotonic() < deadline:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                if stage in words and any(word.endswith("/eidolon") for word in words):
                    place = process.cwd()
                    if place.startswith(str(workers)):
                        return place
        time.sleep(0.1)
    raise AssertionError(f"no worker began {stage}")


def kill(place: str) -> datetime:
    """Kill every process of the worker in the clone ``place``. Returns when."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == place:
                process.kill()
    return datetime.now(UTC)


def drawn_in(head: Clone) -> dict[str, set[str]]:
    """The pictures in the store of each worker."""
    places = (head.root / ".eidolon" / "workers").iterdir()
    return {str(at): {p.name for p in at.glob(".eidolon/imagined/*/*.png")} for at in places}


def is_taken_over(head: Clone, stage: str, killed: datetime, said: str) -> None:
    """The task ``stage`` of a worker that was ``killed`` was begun again in time."""
    again = [a for a in tries(head, stage) if a["try_number"] > 1]
    after = [datetime.fromisoformat(a["start_date"]) - killed for a in again]
    assert after and min(after).total_seconds() < TAKEN_OVER, said


def test_a_worker_that_dies_is_replaced(head: Clone, alone: Clone) -> None:
    """A worker is killed in each of three stages. Another one goes on with what it did, and draws
    none of the pictures that it had shared: all but the last ones, which were on their way."""
    change(head, seed=71, batch=1, images_per_category=6, steps=4)
    before = drawn_in(head)
    with head.start("run") as run:
        place = at_work(head, "imagine")
        while not (lost := drawn_in(head)[place] - before[place]):
            time.sleep(0.1)
        killed = {"imagine": kill(place)}
        lost = drawn_in(head)[place] - before[place]
        for stage in ("validate", "embed"):
            killed[stage] = kill(at_work(head, stage))
        said, _ = run.communicate()
    assert run.returncode == 0, said
    for stage, at in killed.items():
        is_taken_over(head, stage, at, said)
    fetched = re.findall(r"imagine@\d+: ([\d,]+) pictures fetched", said)
    assert 0 <= len(lost) - sum(int(n.replace(",", "")) for n in fetched) <= 2, said
    same_as_alone(head, alone)


def test_servers_that_are_killed_in_a_run_lose_nothing(head: Clone, alone: Clone) -> None:
    """Each is killed in another stage, and supervisord starts it again. Pictures were ingested
    fifty times before: that gives one further run, which begins later, so it has them all."""
    change(head, seed=74)
    when = {"imagine": "postgres", "validate": "s3", "embed": "airflow-api", "calibrate": "mlflow"}
    with head.start("run") as run:
        for stage, server in when.items():
            at_work(head, stage)
            if stage == "imagine":
                announced = announce(head, EVENTS)
            pid = supervisor(head, f"_calls().getProcessInfo({server!r})")["pid"]
            os.kill(pid, signal.SIGKILL)
        said, _ = run.communicate()
    if run.returncode != 0:
        assert "error: " in said
        again = head.ops("run")
        assert again.returncode == 0, said + again.stdout + again.stderr
    (began,) = further_runs(head)
    assert began > announced
    same_as_alone(head, alone)


def announce(head: Clone, count: int) -> datetime:
    """Say ``count`` times that the asset `dataset` has new pictures. Returns when that was done."""
    with airflow(head) as client:
        asked = client.get("/api/v2/assets", params={"name_pattern": "dataset"})
        (asset,) = asked.raise_for_status().json()["assets"]
        for number in range(count):
            event = {"asset_id": asset["id"], "extra": {"number": number}}
            client.post("/api/v2/assets/events", json=event).raise_for_status()
    return datetime.now(UTC)


def further_runs(head: Clone) -> list[datetime]:
    """Wait until no run is left that assets started, and return when each began.

    Airflow gives a run the events that there are when it makes it, and makes no other one for those
    that come while the run waits. What it trains on is the collection as it is when it begins.
    """
    runs, deadline = "/api/v2/dags/retrain/dagRuns", time.monotonic() + 900
    with airflow(head) as client:
        quiet, found = time.monotonic() + 60, list[dict[str, Any]]()
        while time.monotonic() < quiet:
            assert time.monotonic() < deadline, found
            time.sleep(2)
            listed = client.get(runs, params={"run_type": "asset_triggered"}).raise_for_status()
            found = listed.json()["dag_runs"]
            if any(one["state"] in ("queued", "running") for one in found):
                quiet = time.monotonic() + 60
    assert [one["state"] for one in found] == ["success"] * len(found)
    return [datetime.fromisoformat(one["start_date"]) for one in found]


def test_down_makes_it_one_machine_again(head: Clone) -> None:
    assert "stopped" in head.ops("down").stdout
    assert processes_of(head.root / ".eidolon") == []
    assert not (head.root / ".eidolon" / "cluster.json").exists()
    assert "s3://" not in head.shell("dvc", "remote", "list").stdout
    env = json.loads(head.shell("python", "-c", _ENV).stdout)
    assert "EIDOLON_HEAD" not in env and env["MLFLOW_TRACKING_URI"].startswith("sqlite")


_ENV = "import json, os; print(json.dumps(dict(os.environ)))"
