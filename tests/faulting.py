"""Steps of ops.rollout in processes of their own, with a fault at an exact moment; what they left;
and services that are killed while the endpoint is asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest
import yaml

from components.lifecycle import history, registry
from tests.clones import Clone

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
    home = clone.root / ".eidolon"
    pointer = home / "deployed.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.setenv("EIDOLON_ARTIFACTS", (home / "mlartifacts").as_uri())
        versions = registry.versions()
        aliases = (registry.CHALLENGER, registry.CHAMPION, registry.PREVIOUS, registry.BEST)
        return {
            "versions": [version.version for version in versions],
            "aliases": {alias: registry.version_of(alias) for alias in aliases},
            "moves": [(move.how, move.before, move.version) for move in history.moves()],
            "verdicts": [version.tags.get(registry.VERDICT) for version in versions],
            "deployed": json.loads(pointer.read_text())["version"] if pointer.exists() else None,
        }


def dvc(clone: Clone, *arguments: str) -> subprocess.CompletedProcess[str]:
    return clone.shell(sys.executable, "-m", "components.versioning.dvc_command", *arguments)


def limited(clone: Clone, size: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that may write no file of more than ``size`` bytes. This takes the place of a
    full disk: the system refuses to write more."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
    return clone.shell(
        sys.executable, "-c", f"{limit}; import os; os.execv({command[0]!r}, {list(command)!r})"
    )


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


def kill(clone: Clone, name: str) -> None:
    """Kill the main process of a service. supervisord starts it again, and ends what it left."""
    pid = supervisor(clone, f"_calls().getProcessInfo({name!r})")["pid"]
    children = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    assert children and not psutil.wait_procs(children, timeout=60)[1]
    wait(lambda: supervisor(clone, "states()")[name] == "RUNNING")


def wait(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
