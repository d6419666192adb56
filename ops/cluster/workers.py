"""Workers: clones of this checkout that take the tasks of the queue `gpu` from the head.

A worker shares no files with the head. It follows the head's code: it checks out the commit of the
run before it does a task of that run.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from components.errors import EidolonError, TransientError
from components.variables import without_airflow
from components.versioning import git
from components.versioning.remote import use_remote
from ops.accelerators import accelerators
from ops.cluster.settings import HEAD, QUEUE, WORKER, of_head, rehearsed
from ops.environment import ROOT, environment

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS", "HF_HUB_OFFLINE", "EIDOLON_UP")
_REMOTE = "cluster"


def name_of(number: int) -> str:
    """The name of a worker of the rehearsal."""
    return f"worker-{number}"


def names_of_workers(home: Path) -> list[str]:
    """The names of all workers of the rehearsal; none without one."""
    settings = rehearsed(home)
    return [name_of(i + 1) for i in range(settings["workers"])] if settings else []


def pool_slots(home: Path) -> int:
    """How many tasks may use an accelerator at once: as many as there are over all workers. A
    worker without one counts as one.

    Raises :class:`EidolonError` for a value of EIDOLON_SLOTS that is no number.
    """
    text, here = os.environ.get("EIDOLON_SLOTS"), max(1, len(accelerators()))
    if text is None:
        return here * max(1, len(names_of_workers(home)))
    if not text.isdecimal() or int(text) < 1:
        raise EidolonError(f"EIDOLON_SLOTS is {text!r}: give the number of accelerators, 1 or more")
    return int(text)


def place_of(home: Path, number: int) -> Path:
    """The clone of a worker of the rehearsal."""
    return home / "workers" / str(number)


def command() -> list[str]:
    """What runs in the clone of a worker."""
    return [sys.executable, "-m", "ops", "worker"]


def environment_of(env: Mapping[str, str], home: Path, number: int) -> dict[str, str]:
    """The variables of a worker of the rehearsal: what a real one would be given, and nothing of
    the head's own."""
    given = {name: env[name] for name in _KEPT if name in env}
    shared = without_airflow(of_head(home))
    shared.pop("PGPASSFILE")
    return {
        **given,
        **shared,
        WORKER: name_of(number),
        "EIDOLON_AIRFLOW_PORT": shared[HEAD].rpartition(":")[2],
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": shlex.join(["cat", str(home / "keys" / "jwt_secret")]),
        "PYTHONPATH": str(place_of(home, number)),  # its own code, by the Python of the head
    }


def make(home: Path, number: int) -> None:
    """Make the clone of a worker of the rehearsal, at the commit of this checkout."""
    place = place_of(home, number)
    if not (place / ".git").exists():
        shutil.rmtree(place, ignore_errors=True)  # of an attempt that was killed
        place.parent.mkdir(parents=True, exist_ok=True)
        git.clone(ROOT, place)
    git.move(place, git.code().commit)
    share_data(place, home)


def share_data(root: Path, home: Path) -> None:
    """Let DVC in the clone ``root`` use the S3 of the rehearsal."""
    shared = of_head(home)
    values = {
        "url": "s3://eidolon/dvc",
        "endpointurl": shared["AWS_ENDPOINT_URL"],
        "credentialpath": shared["AWS_SHARED_CREDENTIALS_FILE"],
    }
    use_remote(root, _REMOTE, values)


def share_no_data() -> None:
    """Let DVC use the remote again that it used before the rehearsal."""
    use_remote(ROOT, _REMOTE, {})


def work() -> NoReturn:
    """Become a worker: take tasks from the head until this process is stopped.

    Raises :class:`EidolonError` when the variables that a worker needs are missing.
    """
    needed = (HEAD, "EIDOLON_OBJECTS", "MLFLOW_TRACKING_URI")
    if missing := [name for name in needed if name not in os.environ]:
        raise EidolonError(
            f"a worker needs {' and '.join(missing)}: see “Several machines” in docs/operations.md"
        )
    name = os.environ.get(WORKER) or socket.gethostname()
    slots = str(max(1, len(accelerators())))
    airflow = [sys.executable, "-m", "airflow", "edge", "worker"]
    env = environment() | {WORKER: name}
    os.execve(sys.executable, [*airflow, "-q", QUEUE, "-H", name, "-c", slots], env)


def is_worker() -> bool:
    """Whether this process belongs to a worker."""
    return WORKER in os.environ


def refuse_on_worker(what: str) -> None:
    """Raise an :class:`EidolonError` when this process belongs to a worker."""
    if is_worker():
        head = os.environ.get(HEAD)
        raise EidolonError(f"a worker has no endpoint: {what} on the head, whose Airflow is {head}")


def committed() -> str:
    """The commit of this checkout. Raises :class:`EidolonError` when its code differs from it: no
    worker could run that."""
    code = git.code()
    if code.dirty != "false":
        raise EidolonError("workers run committed code, and `git status` shows edits: commit them")
    return code.commit


def follow(commit: str) -> None:
    """Let this worker have the code of ``commit``.

    Raises :class:`TransientError` after it has fetched that code, because this process still has
    the old one: the next attempt has the new one. Raises :class:`EidolonError` where somebody has
    edited the worker's code, and where its git does not have the commit.
    """
    here, name = git.code(), os.environ[WORKER]
    where = f"the worker {name} is at {here.commit[:12]}, and the run is of {commit[:12]}"
    if here.dirty != "false":
        raise EidolonError(f"{where}: its code was edited, so undo that there")
    if here.commit == commit:
        return
    try:
        git.move(Path(), commit)
    except EidolonError as error:
        raise EidolonError(f"{where}: push that to where it fetches from ({error})") from None
    raise TransientError(f"{where}: it has fetched that, and the next attempt goes on")
