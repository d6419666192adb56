"""A clone of this checkout with the toy project in it, for tests of whole runs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from tests import toy

_OURS = ("AIRFLOW", "MLFLOW", "EIDOLON", "BENTOML", "PYTEST")


def clean_environment() -> dict[str, str]:
    """This environment without what would lead to another checkout's state."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OURS)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    free = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return free


class Clone:
    """A git repository with this checkout's files, toy models and toy parameters."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = clean_environment()
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
        author = ["-c", "user.name=toy", "-c", "user.email=toy@localhost"]
        for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "toy"]):
            subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)

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
        """Start `python -m ops` here, to be stopped by Ctrl-C: a CI job may be a shell's background
        job, which inherits that signal ignored."""
        return subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def champion(self) -> str:
        """The version with the alias `champion`, as MLflow tells it."""
        code = (
            "from components.lifecycle import registry;"
            " print(registry.by_alias('champion').version)"
        )
        uri = f"sqlite:///{self.root / '.eidolon' / 'mlflow.db'}"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.root,
            env=self.env | {"MLFLOW_TRACKING_URI": uri},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()[-1]
