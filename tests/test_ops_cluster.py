"""Several machines: their variables, what a stage takes, and workers that follow a commit."""

from __future__ import annotations

import configparser
import os
import subprocess
from pathlib import Path

import pytest

from components.errors import EidolonError, TransientError
from components.versioning.remote import has_remote, use_remote
from ops.cluster import settings, sharing, stores, workers
from ops.environment import environment
from tests.toy import ROOT

PORTS = {"airflow": 8081, "mlflow": 5001, "postgres": 5433, "s3": 8334, "workers": 2}


def test_one_machine_has_no_variables_of_several(tmp_path: Path) -> None:
    env = environment({}, tmp_path)
    assert settings.HEAD not in env and "AIRFLOW__CORE__EXECUTOR" not in env
    assert env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("sqlite")


def test_the_variables_of_a_rehearsal_hold_no_secret(tmp_path: Path) -> None:
    settings.begin(tmp_path, PORTS)
    given = {"AWS_SECRET_ACCESS_KEY": "of another place", "PATH": os.defpath}
    env = environment(given, tmp_path)
    assert env["EIDOLON_HEAD"] == "http://127.0.0.1:8081"
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8081/execution/"
    assert "EdgeExecutor" in env["AIRFLOW__CORE__EXECUTOR"]
    assert "AWS_SECRET_ACCESS_KEY" not in env
    worker = workers.environment_of(env, tmp_path, 2)
    assert worker["EIDOLON_WORKER"] == "worker-2" and "PGPASSFILE" not in worker
    assert not {"AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"} & worker.keys()
    for file in (tmp_path / "keys").iterdir():
        assert file.stat().st_mode & 0o077 == 0
        for text in file.read_text().split():
            assert len(text) < 40 or text not in str(env) + str(worker)
    settings.end(tmp_path)
    assert settings.HEAD not in environment({}, tmp_path)


def test_a_real_head_is_named_by_a_variable(tmp_path: Path) -> None:
    given = {"EIDOLON_HEAD": "http://head:8080/", "AIRFLOW__EDGE__HEARTBEAT_INTERVAL": "9"}
    env = environment(given, tmp_path)
    assert env["AIRFLOW__EDGE__API_URL"] == "http://head:8080/edge_worker/v1/rpcapi"
    assert env["AIRFLOW__EDGE__HEARTBEAT_INTERVAL"] == "9"


def test_the_pool_has_a_slot_for_each_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert workers.pool_slots(tmp_path) == 1
    settings.begin(tmp_path, PORTS)
    assert workers.pool_slots(tmp_path) == 2
    monkeypatch.setenv("EIDOLON_SLOTS", "16")
    assert workers.pool_slots(tmp_path) == 16
    monkeypatch.setenv("EIDOLON_SLOTS", "none")
    with pytest.raises(EidolonError, match="EIDOLON_SLOTS is 'none': give the number"):
        workers.pool_slots(tmp_path)


def test_a_stage_takes_what_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert sharing.before("imagine@0") == ["plan"]
    assert sharing.before("embed") == ["dataset", "validate"]
    assert {"plan", "imagine@0"} <= set(sharing.before("generate"))
    assert "calibrate" in sharing.before("bundle")


def test_a_clone_goes_back_to_its_own_remote(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    file = tmp_path / ".dvc" / "config.local"
    file.write_text("[cache]\n    dir = /shared/cache\n")
    use_remote(tmp_path, "cluster", {"url": "s3://eidolon/dvc"})
    assert has_remote(tmp_path)
    use_remote(tmp_path, "cluster", {})
    assert not has_remote(tmp_path)
    left = configparser.ConfigParser()
    left.read(file)
    assert left.sections() == ["cache"]


def test_postgres_says_which_folder_its_user_cannot_enter(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives PostgreSQL another user")
    tmp_path.chmod(0o700)
    with pytest.raises(EidolonError, match=r"may not enter .*: run `chmod o\+x "):
        stores.prepare(tmp_path / "home")


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worker's clone of a repository with one commit, as the working directory."""
    author = ["-c", "user.name=toy", "-c", "user.email=toy@localhost"]
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "code.py").write_text("1\n")
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=tmp_path / "head", check=True)
    subprocess.run(["git", "clone", "-q", "head", "worker"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path / "worker")
    monkeypatch.setenv("EIDOLON_WORKER", "box")
    return tmp_path / "worker"


def commit(head: Path, text: str) -> str:
    author = ["-c", "user.name=toy", "-c", "user.email=toy@localhost"]
    (head / "code.py").write_text(text)
    subprocess.run(["git", *author, "commit", "-qam", text], cwd=head, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=head, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_worker_follows_the_commit_of_a_run(worker: Path) -> None:
    newer = commit(worker.parent / "head", "2\n")
    with pytest.raises(TransientError, match=rf"box is at .*, and the run is of {newer[:12]}"):
        workers.follow(newer)
    assert (worker / "code.py").read_text() == "2\n"
    workers.follow(newer)


def test_a_worker_that_cannot_follow_names_both_commits(worker: Path) -> None:
    with pytest.raises(EidolonError, match=r"the run is of 0{12}: push that to where it fetches"):
        workers.follow("0" * 40)
    (worker / "code.py").write_text("edited\n")
    with pytest.raises(EidolonError, match="its code was edited, so undo that there"):
        workers.follow("0" * 40)
    assert (worker / "code.py").read_text() == "edited\n"


def test_a_head_with_edits_begins_no_run(worker: Path) -> None:
    assert len(workers.committed()) == 40
    (worker / "code.py").write_text("edited\n")
    with pytest.raises(EidolonError, match="`git status` shows edits: commit them"):
        workers.committed()


def test_a_worker_has_no_endpoint(worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EIDOLON_HEAD", "http://head:8080")
    with pytest.raises(EidolonError, match="deploy on the head, whose Airflow is http://head:8080"):
        workers.refuse_on_worker("deploy")
