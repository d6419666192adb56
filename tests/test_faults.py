"""Faults while a version is made and deployed. A rerun ends in the same state, and the champion
always serves.

A fault is put into a process of its own, which patches one function, so that the moment is the same
on every machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
import yaml

from tests.clones import Clone, free_ports

pytestmark = pytest.mark.slow

_PATCH = """
import os, signal
from unittest import mock
def now(*args, **kwargs):
    {what}
mock.patch({target!r}, now).start()
"""
_STEP = """
import json, sys
from components.errors import one_sentence
from ops import rollout
with one_sentence():
    print(json.dumps({step}))
"""
_AT_ONCE = """
import time
from pathlib import Path
from ops import rollout
Path({!r}).touch()
while not Path("begin").exists():
    time.sleep(0.005)
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
REGISTER = "rollout.register('a run', print)"
FACTS = """
import json
from components.lifecycle import history, registry
from ops import release
print(json.dumps({
    "versions": [v.version for v in registry.versions()],
    "aliases": {a: registry.version_of(a) for a in ("challenger", "champion", "previous", "best")},
    "moves": [[m.how, m.before, m.version] for m in history.moves()],
    "tags": {v.version: {k: t for k, t in v.tags.items() if k in ("verdict", "rolled_back")}
             for v in registry.versions()},
    "deployed": (release.deployed() or {}).get("version"),
}))
"""


def patched(target: str, what: str = KILL) -> str:
    """Code after which a call of ``target`` does ``what``."""
    return _PATCH.format(target=target, what=what)


def run(clone: Clone, step: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run one step of ops.rollout in a process of its own, after the code ``before``."""
    return clone.shell(sys.executable, "-c", before + _STEP.format(step=step))


def answer(clone: Clone, step: str) -> Any:
    """The value of a step that must succeed."""
    done = run(clone, step)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def killed(clone: Clone, step: str, target: str) -> None:
    """Run a step whose process is killed where it calls ``target``."""
    done = run(clone, step, patched(target))
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def facts(clone: Clone) -> dict[str, Any]:
    """What the registry and the pointer say."""
    done = clone.shell(sys.executable, "-c", FACTS)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


def dvc(clone: Clone, *arguments: str) -> subprocess.CompletedProcess[str]:
    return clone.shell(sys.executable, "-m", "components.versioning.dvc_command", *arguments)


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
    assert facts(clone)["tags"]["1"] == {"verdict": "passed"}

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
    assert after["moves"] == [["promoted", "", "1"]]
    assert after["aliases"] == {"challenger": "1", "champion": "1", "previous": None, "best": "1"}
    assert answer(clone, "rollout.follow_champion(print)")["tag"] == built["tag"]
    return built


def a_killed_build_is_completed(clone: Clone) -> dict[str, Any]:
    """Killed while BentoML copies a model, and while it copies the Bento, to the final places."""
    build = ["build", "--bundle", "artifacts/bundle", "--version", "1"]
    for part in ("models/eidolon-clip", "bentos/eidolon"):
        code = (
            "import os, shutil, signal, sys\n"
            "real = shutil.copytree\n"
            "def half(source, target, *args, **options):\n"
            "    made = real(source, target, *args, **options)\n"
            f"    if '/bentoml/{part}/' in str(target):\n"
            "        files = [f for f in __import__('pathlib').Path(target).rglob('*')"
            " if f.is_file() and not f.name.endswith('.yaml')]\n"
            "        files[0].unlink()\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return made\n"
            "shutil.copytree = half\n"
            f"sys.argv[1:] = {build!r}\n"
            "from bento.release import main; main()\n"
        )
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


def limited(clone: Clone, size: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that may write no file of more than ``size`` bytes. This takes the place of a
    full disk: the system refuses to write more."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    return clone.shell(
        sys.executable, "-c", f"{limit}; import os; os.execv({command[0]!r}, {list(command)!r})"
    )


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


def at_once(clone: Clone, step: str) -> list[subprocess.CompletedProcess[str]]:
    """Run a step in two processes, which wait for each other before they begin."""
    begin, ready = clone.root / "begin", [clone.root / "ready-0", clone.root / "ready-1"]
    for file in (begin, *ready):
        file.unlink(missing_ok=True)
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(run, clone, step, _AT_ONCE.format(str(file))) for file in ready]
        wait(lambda: all(file.exists() for file in ready))
        begin.touch()
        return [one.result() for one in done]


def trained_anew(clone: Clone, seed: int) -> None:
    """Another bundle, which is not registered."""
    params = yaml.safe_load((clone.root / "params.yaml").read_text())
    params["train"]["seed"] = seed
    (clone.root / "params.yaml").write_text(yaml.safe_dump(params))
    done = dvc(clone, "repro", "bundle")
    assert done.returncode == 0, done.stderr


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
    back = clone.shell("eidolon", "rollback", "--reason", "people complain")
    assert back.returncode == 0, back.stderr
    refused = run(clone, f"rollout.promote('2', {judged!r}, print)")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "version 1 is the champion now; a new run judges it again" in refused.stderr
    after = facts(clone)
    assert after["aliases"]["champion"] == "1" and "rolled_back" in after["tags"]["2"]


class Asking(threading.Thread):
    """Asks the endpoint again and again, and keeps what was not an answer."""

    def __init__(self, clone: Clone) -> None:
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{clone.env['EIDOLON_PORT']}"
        self.asked, self.failures, self.ends = 0, list[str](), threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            while not self.ends.wait(0.1):
                self.asked += 1
                try:
                    answer = client.post("/search", json={"query": "red plain star"})
                    if answer.status_code != 200:
                        self.failures.append(answer.text)
                except httpx.TransportError as error:
                    self.failures.append(repr(error))

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self.join()


def supervisor(clone: Clone, call: str) -> Any:
    code = (
        f"import json\nfrom ops.services import Supervisor\nprint(json.dumps(Supervisor().{call}))"
    )
    done = clone.shell(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pid_of(clone: Clone, name: str) -> int:
    return int(supervisor(clone, f"_calls().getProcessInfo({name!r})")["pid"])


def wait(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def up(clone: Clone, first: dict[str, Any]) -> Clone:
    """The services run, and the endpoint serves the champion."""
    done = clone.ops("up")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone


def test_the_endpoint_serves_while_mlflow_is_away(up: Clone) -> None:
    port = up.env["EIDOLON_MLFLOW_PORT"]
    url = f"http://127.0.0.1:{port}"
    server = f"import os\nos.environ['MLFLOW_TRACKING_URI'] = {url!r}\n"
    with Asking(up) as asking:
        leave = (
            "from ops.services import Supervisor; Supervisor().stop('mlflow'); return mock.DEFAULT"
        )
        before = server + patched("mlflow.log_artifacts", leave)
        trained_anew(up, 2)
        failed = run(up, REGISTER, before)  # MLflow goes away while the run is logged
        assert failed.returncode == 75, failed.stdout + failed.stderr
        assert "cannot be reached" in failed.stderr
        for step in ("rollout.gate('1', print)", "rollout.follow_champion(print)"):
            failed = run(up, step, server)
            assert failed.returncode == 75, failed.stdout + failed.stderr
        assert supervisor(up, "start('mlflow')") is None
        wait(lambda: _answers(url))
        done = run(up, REGISTER, server)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["version"] == "3"
        os.kill(pid_of(up, "mlflow"), signal.SIGKILL)
        wait(lambda: _answers(url) and supervisor(up, "states()")["mlflow"] == "RUNNING")
        time.sleep(6)
        assert supervisor(up, "states()")["mlflow"] == "RUNNING"
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
