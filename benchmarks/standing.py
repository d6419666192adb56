"""An endpoint as `make up` starts it, proxy and places, in a checkout of its own.

Nothing of this checkout's `.eidolon` is touched: the code is copied, and state lies in the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import yaml
from mlflow import MlflowClient

from components.config import Params
from components.lifecycle.registry import MODEL, VERDICT
from components.ports import free_port

ROOT = Path(__file__).parents[1]
CODE = ("bento", "components", "ops", "profiles")

UP = """
from ops import swap, up
from ops.environment import environment, ports
from ops.places import NAMES, program
from ops.services import ENDPOINT, LOGS, configuration, services
env = environment()
wanted = (ENDPOINT, *map(program, NAMES))
listed = [s for s in services(env, ports(env)) if s.name in wanted]
LOGS.mkdir(parents=True, exist_ok=True)
up._start(configuration(listed, swap.prepare()), env)
"""
"""Starts the endpoint's services without Airflow and MLflow."""


class Standing:
    """The endpoint of the checkout ``root``, with these variables of the environment."""

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root, self.env = root, env
        self.home = root / ".eidolon"
        self.env["EIDOLON_PORT"] = str(free_port())
        self.url = f"http://127.0.0.1:{self.env['EIDOLON_PORT']}"

    @classmethod
    def copy(cls, root: Path, params: Params, workers: int) -> Standing:
        """A copy of this checkout's code in ``root``, with ``workers`` processes of the API."""
        for folder in CODE:
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / folder, root / folder, ignore=without)
        models = Path(params.models)
        if not models.is_absolute():
            (root / models).parent.mkdir(parents=True, exist_ok=True)
            (root / models).symlink_to(ROOT / models)
        values = params.model_dump(mode="json")
        values["serve"]["api_workers"] = workers
        (root / "params.yaml").write_text(yaml.safe_dump(values))
        (root / ".eidolon").mkdir()
        ours = ("AIRFLOW", "MLFLOW", "EIDOLON", "BENTOML")
        return cls(root, {k: v for k, v in os.environ.items() if not k.startswith(ours)})

    def run(self, *arguments: str, homes: bool = False) -> str:
        """What Python prints for these arguments. With ``homes`` it works on this checkout's
        Bentos. Raises ``RuntimeError`` when it fails."""
        own = {"EIDOLON_HOME": str(self.home), "BENTOML_HOME": str(self.home / "bentoml")}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=self.env | (own if homes else {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{done.stdout}{done.stderr}\n{self.logs()}")
        return done.stdout

    def release(self, *arguments: str) -> dict[str, Any]:
        """The answer of a verb of bento.release."""
        printed = self.run("-m", "bento.release", *arguments, homes=True)
        answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return answer

    def up(self) -> None:
        """Start the endpoint, and wait until it answers."""
        self.run("-c", UP)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                reply = httpx.get(f"{self.url}/health", timeout=30, trust_env=False)
                if reply.status_code == 200 and reply.json()["imaginer"] == "up":
                    return
            time.sleep(0.2)
        raise RuntimeError(f"the endpoint is not ready\n{self.logs()}")

    def down(self) -> None:
        """Stop it."""
        self.run("-m", "ops", "down")

    def deploy(self, tag: str, version: int) -> None:
        """Deploy a Bento."""
        self.run("-c", f"from ops import swap; swap.deploy({tag!r}, '{version}', print)")

    def register(self, versions: int) -> None:
        """Give it a registry with so many versions, all of which a gate has let pass."""
        self.env["MLFLOW_TRACKING_URI"] = f"sqlite:///{self.home / 'mlflow.db'}"
        self.env["EIDOLON_ARTIFACTS"] = (self.home / "mlartifacts").as_uri()
        client = MlflowClient(self.env["MLFLOW_TRACKING_URI"])
        client.create_registered_model(MODEL)
        for _ in range(versions):
            made = client.create_model_version(MODEL, source="/nowhere")
            client.set_model_version_tag(MODEL, made.version, VERDICT, "passed")

    def promote(self, version: int) -> None:
        """Make a version the champion, and leave the endpoint as it is."""
        self.run("-m", "components.cli", "promote", str(version), "--no-deploy")

    def roll_back(self, version: int) -> None:
        """Go back, or forth again, by the command of a user."""
        self.run("-m", "components.cli", "rollback", "--to", str(version))

    @property
    def pointer(self) -> dict[str, Any]:
        """The pointer now."""
        return pointer_in(self.home)

    @property
    def moved(self) -> float:
        """When the pointer was replaced, in seconds since 1970."""
        return (self.home / "deployed.json").stat().st_mtime

    def logs(self) -> str:
        """The ends of all logs."""
        return logs_in(self.home)


def pointer_in(home: Path) -> dict[str, Any]:
    """The pointer of an endpoint whose state is in ``home``."""
    value: dict[str, Any] = json.loads((home / "deployed.json").read_text())
    return value


def logs_in(home: Path) -> str:
    """The ends of all logs in ``home``."""
    files = sorted((home / "logs").glob("*.log"))
    return "\n".join(f"== {f.name}\n{f.read_text(errors='replace')[-2000:]}" for f in files)
