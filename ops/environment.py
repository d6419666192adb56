"""The environment of every process: where state lives, and what keeps to this machine.

`make run`, `make up` and a person's shell must agree on every database and folder; so all of them
take the answer from here. What the caller has already set for Airflow or MLflow wins.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components import paths
from components.errors import EidolonError
from components.files import read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / paths.HOME
POOL = "gpu"

_REMOVED = ("PYTHONDONTWRITEBYTECODE",)  # without bytecode every process starts seconds later


@dataclass(frozen=True)
class Ports:
    """Where the services listen, on the loopback interface."""

    airflow: int
    mlflow: int
    endpoint: int


PORT_VARIABLES = {
    "airflow": ("EIDOLON_AIRFLOW_PORT", 8080),
    "mlflow": ("EIDOLON_MLFLOW_PORT", 5000),
    "endpoint": ("EIDOLON_PORT", 3000),
}


def ports(given: Mapping[str, str]) -> Ports:
    """The ports that ``given`` asks for. Raises :class:`EidolonError` for one that is none."""
    chosen = {}
    for name, (variable, default) in PORT_VARIABLES.items():
        text = given.get(variable, str(default))
        if not text.isdecimal() or not 1 <= int(text) <= 65_535:
            raise EidolonError(f"{variable} is {text!r}: give a port, 1 to 65535")
        chosen[name] = int(text)
    return Ports(**chosen)


def environment(given: Mapping[str, str] | None = None, home: Path = HOME) -> dict[str, str]:
    """``given`` (by default the environment of this process) completed by what we need."""
    env = {k: v for k, v in (os.environ if given is None else given).items() if k not in _REMOVED}
    airflow, at = home / "airflow", ports(env)
    api = f"http://127.0.0.1:{at.airflow}"
    defaults = {
        "AIRFLOW_HOME": str(airflow),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{api}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow / 'airflow.db'}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(at.airflow),
        "AIRFLOW__API__BASE_URL": api,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs" / "tasks"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),
        **_secrets(home / "secrets.json"),
    }
    fixed = {
        "EIDOLON_HOME": str(home),
        "EIDOLON_ARTIFACTS": (home / "mlartifacts").as_uri(),
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "GX_ANALYTICS_ENABLED": "False",
        "DVC_NO_ANALYTICS": "true",
        "PATH": _path(env.get("PATH", os.defpath)),
    }
    return defaults | env | fixed


def added(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The part of :func:`environment` that ``given`` does not have already."""
    before = dict(os.environ if given is None else given)
    return {k: v for k, v in environment(before).items() if before.get(k) != v}


def _path(path: str) -> str:
    bin_folder = str(Path(sys.executable).parent)
    return os.pathsep.join([bin_folder, *(p for p in path.split(os.pathsep) if p != bin_folder)])


def _secrets(file: Path) -> dict[str, str]:
    """Keys that Airflow's components share, made once; only the owner may read them."""
    if not file.exists():
        fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        old = os.umask(0o077)
        try:
            write_json(
                file,
                {
                    "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
                    "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
                    "AIRFLOW__CORE__FERNET_KEY": fernet,
                },
            )
        finally:
            os.umask(old)
    keys: dict[str, str] = read_json(file, "delete it, and `make down up` writes it anew")
    return keys
