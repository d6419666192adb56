"""The environment of every process: where state lies, and what stays on this machine.

`make run`, `make up` and a person's shell must use the same databases and folders, so all of them
get those from here. A variable of Airflow or MLflow that the caller has set is kept.

The keys that Airflow's components share are not in the environment. They lie in files, which
Airflow reads by a command
(https://airflow.apache.org/docs/apache-airflow/stable/howto/set-config.html).
"""

from __future__ import annotations

import base64
import os
import secrets
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components import paths
from components.errors import EidolonError
from components.files import private, read_json, write_text
from components.threads import cpus
from ops.cluster.settings import with_cluster

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / paths.HOME
POOL = "gpu"
DOWNLOADS = HOME / "downloads"  # bundles from the registry, for as long as they are used

_REMOVED = ("PYTHONDONTWRITEBYTECODE",)  # without bytecode, a process starts seconds later


@dataclass(frozen=True)
class Ports:
    """The ports of the services, on the loopback interface."""

    airflow: int
    mlflow: int
    endpoint: int
    postgres: int
    s3: int


PORT_VARIABLES = {
    "airflow": ("EIDOLON_AIRFLOW_PORT", 8080),
    "mlflow": ("EIDOLON_MLFLOW_PORT", 5000),
    "endpoint": ("EIDOLON_PORT", 3000),
    "postgres": ("EIDOLON_POSTGRES_PORT", 5432),
    "s3": ("EIDOLON_S3_PORT", 8333),  # and the nine after it, for its parts
}


def ports(given: Mapping[str, str]) -> Ports:
    """The ports that ``given`` sets, or else the usual ones.

    Raises :class:`EidolonError` for a value that is not a port.
    """
    chosen = {}
    for name, (variable, default) in PORT_VARIABLES.items():
        text = given.get(variable, str(default))
        if not text.isdecimal() or not 1 <= int(text) <= 65_535:
            raise EidolonError(f"{variable} is {text!r}: give a port, 1 to 65535")
        chosen[name] = int(text)
    return Ports(**chosen)


def environment(given: Mapping[str, str] | None = None, home: Path = HOME) -> dict[str, str]:
    """``given`` (by default the environment of this process), and the variables that we need."""
    env = {k: v for k, v in (os.environ if given is None else given).items() if k not in _REMOVED}
    env, several = with_cluster(env, home)
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
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold a password
        "OMP_NUM_THREADS": str(cpus()),
        **_keys(home, env),
        **several,
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
    """The variables of :func:`environment` that ``given`` lacks or sets otherwise."""
    before = dict(os.environ if given is None else given)
    return {k: v for k, v in environment(before).items() if before.get(k) != v}


def _path(path: str) -> str:
    bin_folder = str(Path(sys.executable).parent)
    return os.pathsep.join([bin_folder, *(p for p in path.split(os.pathsep) if p != bin_folder)])


_KEYS: dict[str, Callable[[], str]] = {
    "AIRFLOW__API_AUTH__JWT_SECRET": lambda: secrets.token_urlsafe(48),
    "AIRFLOW__API__SECRET_KEY": lambda: secrets.token_urlsafe(32),
    "AIRFLOW__CORE__FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}


def _keys(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Variables with the commands by which Airflow reads its keys, except those that ``given``
    sets in one of Airflow's ways. The keys are made once, and only their owner may read them."""
    before = home / "secrets.json"  # where older releases kept them
    kept: dict[str, str] = read_json(before, "delete it") if before.exists() else {}
    commands = {}
    for name, make in _KEYS.items():
        file = home / "keys" / name.rpartition("__")[2].lower()
        if not file.exists():
            with private(file.parent):
                write_text(file, kept.get(name) or make())
        if not {name, f"{name}_CMD", f"{name}_SECRET"} & given.keys():
            commands[f"{name}_CMD"] = shlex.join(["cat", str(file)])
    before.unlink(missing_ok=True)
    return commands
