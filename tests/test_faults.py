"""Faults while a version is made and deployed. A rerun ends in the same state, and the champion
always serves.

A fault is put into a process of its own, which patches one function, so that the moment is the same
on every machine.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.clones import Clone, free_ports
from tests.faulting import (
    REGISTER,
    Asking,
    answer,
    at_once,
    dvc,
    facts,
    kill,
    killed,
    limited,
    patched,
    run,
    supervisor,
    trained_anew,
    wait,
)

pytestmark = pytest.mark.slow

_ONCE = "os.environ['MLFLOW_HTTP_REQUEST_MAX_RETRIES'] = '0'\n"

_HALF = """
import os, shutil, signal, sys
from pathlib import Path
real = shutil.copytree
def half(source, target, *args, **options):
    made = real(source, target, *args, **options)
    if "/bentoml/{part}/" in str(target):
        next(f for f in Path(target).rglob("*") if f.is_file() and f.suffix != ".yaml").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return made
shutil.copytree = half
sys.argv[1:] = {build!r}
from bento.release import main
main()
"""
_WATCH = """
import asyncio
from ops import watching
looks = []
watching.SECONDS, seen = 0.01, watching.not_served
def look():
    looks.append(1)
    return seen() if len(looks) < 3 else "7"  # MLflow is back
watching.not_served = look
event = asyncio.run(anext(watching.ChampionMoved().run()))
assert event.payload == {"version": "7"}, event.payload
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone with a bundle, which the tests of this file change one after the other."""
    clone = Clone(tmp_path_factory.mktemp("clone"))
    names = ("EIDOLON_AIRFLOW_PORT", "EIDOLON_MLFLOW_PORT", "EIDOLON_PORT")
    for name, port in zip(names, free_ports(3), strict=True):
        clone.env[name] = str(port)
    clone.env["AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD"] = "10"  # 30 and 300 seconds
    clone.env["AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL"] = "5"
    done = dvc(clone, "repro", "bundle")
    assert done.returncode == 0, done.stderr
    yield clone
    clone.ops("down")


@pytest.fixture(scope="module")
def first(clone: Clone) -> dict[str, Any]:
    """Version 1, each of whose steps was killed once, and is the champion now: its tag and
    version."""
    for call in ("create_model_version", "set_registered_model_alias"):
        killed(clone, REGISTER, f"mlflow.MlflowClient.{call}")
    assert answer(clone, REGISTER)["version"] == "1"
    assert facts(clone)["versions"] == ["1"]
    assert facts(clone)["aliases"]["challenger"] == "1"

    for call in ("registry.tag", "judging.judge"):
        killed(clone, "rollout.gate('1', print)", f"components.lifecycle.{call}")
    passed = answer(clone, "rollout.gate('1', print)")
    assert facts(clone)["verdicts"] == ["passed"]

    built = a_killed_build_is_completed(clone)
    assert built["version"] == "1"
    assert not list((clone.root / ".eidolon" / "downloads").iterdir())  # what was killed, too

    check = f"rollout.check({built['tag']!r}, print)"
    killed(clone, check, "ops.release._call")
    assert not (clone.root / ".eidolon" / "checked").exists()
    assert answer(clone, check)["queries"] == 2

    promote = f"rollout.promote('1', {passed!r}, print)"
    killed(clone, promote, "components.lifecycle.history.record")
    assert facts(clone)["moves"] == []
    answer(clone, promote)
    answer(clone, promote)
    after = facts(clone)
    assert after["moves"] == [("promoted", "", "1")]
    assert after["aliases"] == {"challenger": "1", "champion": "1", "previous": None, "best": "1"}
    assert answer(clone, "rollout.follow_champion(print)")["tag"] == built["tag"]
    return built


def a_killed_build_is_completed(clone: Clone) -> dict[str, Any]:
    """Killed while BentoML copies a model, and while it copies the Bento, to the final places."""
    build = ["build", "--bundle", "artifacts/bundle", "--version", "1"]
    for part in ("models/eidolon-clip", "bentos/eidolon"):
        code = _HALF.format(part=part, build=build)
        done = clone.shell(sys.executable, "-c", code)
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        assert list((clone.root / ".eidolon" / "bentoml" / part).iterdir())  # looks whole
    built: dict[str, Any] = answer(clone, "rollout.build('1', print)")
    assert built["built"]
    same = answer(clone, "rollout.build('1', print)")
    assert (same["tag"], same["built"]) == (built["tag"], False)
    return built


def test_a_killed_step_is_done_again(clone: Clone, first: dict[str, Any]) -> None:
    """See `first`."""
    assert facts(clone)["deployed"] == 1


def test_a_full_disk_leaves_nothing_half_written(clone: Clone, first: dict[str, Any]) -> None:
    bundle = clone.root / "artifacts" / "bundle"
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    module = [sys.executable, "-m", "components.cli", "bundle"]
    full = limited(clone, 20_000, *module)
    assert full.returncode == 75, full.stderr
    assert "File too large" in full.stderr
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before
    assert not list((clone.root / "artifacts").glob(".*.part"))

    store = clone.root / ".eidolon" / "bentoml"
    build = [sys.executable, "-m", "bento.release", "build", "--bundle", str(bundle)]
    full = limited(clone, 20_000, *build, "--version", "7")
    assert full.returncode == 75, full.stderr
    assert "File too large" in full.stderr
    assert not list((store / "models" / "eidolon-bundle").glob("v7-*"))
    assert clone.shell(*build, "--version", "7").returncode == 0
    assert list((store / "models" / "eidolon-bundle").glob("v7-*"))
    assert answer(clone, "rollout.build('1', print)") == first | {"built": False}


def test_two_triggers_at_once_are_as_one(clone: Clone, first: dict[str, Any]) -> None:
    trained_anew(clone, 1)
    done = at_once(clone, REGISTER)
    told = [json.loads(one.stdout.splitlines()[-1]) for one in done]
    assert [one["version"] for one in told] == ["2", "2"]
    assert sorted(one["created"] for one in told) == [False, True]
    assert len({one["run_id"] for one in told}) == 1


def test_a_roll_back_during_check_stays(clone: Clone, first: dict[str, Any]) -> None:
    passed = answer(clone, "rollout.gate('2', print)")
    answer(clone, f"rollout.promote('2', {passed!r}, print)")
    judged = {**passed, "champion": "2"}  # a run of version 3 was judged against version 2
    back = clone.shell("eidolon", "rollback", "--no-deploy")
    assert back.returncode == 0, back.stderr
    refused = run(clone, f"rollout.promote('2', {judged!r}, print)")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "version 1 is the champion now; a new run judges it again" in refused.stderr
    after = facts(clone)
    assert after["aliases"]["champion"] == "1"
    assert after["moves"][0] == ("rolled back", "2", "1")


@pytest.fixture(scope="module")
def up(clone: Clone, first: dict[str, Any]) -> Clone:
    """The services run, and the endpoint serves the champion."""
    done = clone.ops("up")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone


def test_the_endpoint_serves_while_mlflow_is_away(up: Clone) -> None:
    port = up.env["EIDOLON_MLFLOW_PORT"]
    url = f"http://127.0.0.1:{port}"
    server = f"import os\nos.environ['MLFLOW_TRACKING_URI'] = {url!r}\n{_ONCE}"
    with Asking(up) as asking:
        leave = (
            "from ops.services import Supervisor; Supervisor().stop('mlflow'); return mock.DEFAULT"
        )
        before = server + patched("mlflow.log_artifacts", leave)
        trained_anew(up, 2)
        failed = run(up, REGISTER, before)  # MLflow goes away while the run is logged
        assert failed.returncode == 75, failed.stdout + failed.stderr
        assert "cannot be reached" in failed.stderr
        failed = run(up, "rollout.follow_champion(print)", server)
        assert failed.returncode == 75, failed.stdout + failed.stderr
        failed = up.shell(sys.executable, "-c", server + _WATCH)
        assert failed.returncode == 0, failed.stdout + failed.stderr
        assert supervisor(up, "start('mlflow')") is None
        wait(lambda: _answers(url))
        done = run(up, REGISTER, server)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["version"] == "3"
        kill(up, "mlflow")
        wait(lambda: _answers(url))
        assert run(up, REGISTER, server).returncode == 0
    assert asking.asked > 10 and asking.failures == []
    assert facts(up)["versions"] == ["1", "2", "3"]


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    return False


def test_two_deployments_at_once_end_with_one_bento(up: Clone, first: dict[str, Any]) -> None:
    """Version 2 is the champion again; both processes build its Bento and start it."""
    done = up.shell("eidolon", "promote", "2", "--no-deploy")
    assert done.returncode == 0, done.stderr
    with Asking(up) as asking:
        both = at_once(up, "rollout.follow_champion(print)")
    assert [one.returncode for one in both] == [0, 0], [one.stdout + one.stderr for one in both]
    tags = {json.loads(one.stdout.splitlines()[-1])["tag"] for one in both}
    assert len(tags) == 1
    status = up.ops("status").stdout
    assert [line.split()[:3] for line in status.splitlines() if line.startswith("live")] == [
        ["live", "version", "2"]
    ]
    assert asking.asked > 10 and asking.failures == []
    assert facts(up)["deployed"] == 2


def test_a_deleted_champion_goes_on_serving(up: Clone) -> None:
    """The alias goes with the version. What is deployed stays, and is what is compared."""
    delete = "__import__('mlflow').MlflowClient().delete_model_version('eidolon', '2')"
    with Asking(up) as asking:
        answer(up, delete)
        assert facts(up)["aliases"]["champion"] is None
        judged = run(up, "rollout.gate('3', print)")
        assert "there is no champion: compared with eidolon:v2-" in judged.stdout, judged.stderr
        back = up.shell("eidolon", "rollback")
        assert back.returncode == 0, back.stdout + back.stderr
    assert asking.failures == []
    assert facts(up)["aliases"]["champion"] == "1" and facts(up)["deployed"] == 1


def test_a_run_goes_on_when_the_scheduler_is_killed(up: Clone) -> None:
    """Version 3 becomes the champion, and the DAG `deploy` brings it to the endpoint."""
    before = facts(up)
    trigger = "from ops.airflow import Airflow; Airflow().trigger('retrain', 'killed')"
    state = "from ops.airflow import Airflow; print(Airflow().state('retrain', 'killed'))"
    record = up.root / ".eidolon" / "runs" / "killed.jsonl"
    with Asking(up) as asking:
        assert up.shell(sys.executable, "-c", trigger).returncode == 0
        wait(lambda: record.exists() and '"register"' in record.read_text())
        kill(up, "airflow-scheduler")
        wait(
            lambda: up.shell(sys.executable, "-c", state).stdout.split() == ["success"],
            seconds=240,
        )
        wait(lambda: facts(up)["deployed"] == 3)
    assert asking.failures == []
    after = facts(up)
    assert after["versions"] == before["versions"]
    assert after["aliases"] == before["aliases"] | {"champion": "3", "previous": "1"}
    assert after["moves"] == [("promoted", "1", "3"), *before["moves"]]
