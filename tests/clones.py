"""A clone of this checkout with the toy project in it, for tests of whole runs."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import chdir
from functools import cache
from pathlib import Path

import yaml

from components import ports
from tests import toy

_OURS = ("AIRFLOW", "MLFLOW", "EIDOLON", "BENTOML", "PYTEST")
_claims: list[socket.socket] = []


def clean_environment() -> dict[str, str]:
    """This environment without the variables that would lead to another checkout's state."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on. They belong to this process until it ends: the name
    of a socket claims each among all processes that run tests."""
    free: list[int] = []
    while len(free) < count:
        port, claim = ports.free_port(), socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0eidolon-test-port-{port}")
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        free.append(port)
    return free


@cache
def _template(shards: int) -> Path:
    """This checkout's files with toy models and toy parameters, in a git repository: made once for
    each number of shards."""
    root = Path(tempfile.mkdtemp(prefix="eidolon-clone-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=toy.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        source = toy.ROOT / name
        if not name.startswith("zoo/models/") and source.is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / name)
    with chdir(root):
        toy.make_project(Path())
        values = yaml.safe_load(Path("params.yaml").read_text())
        values["generator"]["shards"] = list(range(shards))
        toy.save_params(Path(), values)
    author = ["-c", "user.name=toy", "-c", "user.email=toy@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "toy"]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    return root


class Clone:
    """A git repository with this checkout's files, toy models and toy parameters. With more than
    one of the ``shards``, each run has more tasks."""

    def __init__(self, root: Path, shards: int = 1) -> None:
        self.root = root
        self.env = clean_environment()
        shutil.copytree(_template(shards), root, symlinks=True, dirs_exist_ok=True)

    def ops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m ops` here."""
        return subprocess.run(
            [sys.executable, "-m", "ops", *arguments],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `python -m ops` here, to be stopped by Ctrl-C. In CI this may be a shell's
        background job, which inherits that signal as ignored."""
        return subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def shell(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command here, in a shell that has taken over the environment."""
        shell = f'eval "$({sys.executable} -m ops env)" && exec "$@"'
        return subprocess.run(
            ["bash", "-c", shell, "-", *command],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )

    def champion(self) -> str:
        """The version with the alias `champion`, as MLflow tells it."""
        code = "from components.lifecycle import registry; print(registry.version_of('champion'))"
        done = self.shell(sys.executable, "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]
