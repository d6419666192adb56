"""What makes several machines one system: the variables of a head and of its workers.

`EIDOLON_HEAD`, the address of the head's Airflow, says that there are several machines. The
rehearsal keeps its settings in `.eidolon/cluster.json`, which `make cluster` writes and `make down`
removes. That file holds no secret: those are in `.eidolon/keys`, and each program reads its own
from a file.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.files import private, write_json, write_text

HEAD = "EIDOLON_HEAD"
WORKER = "EIDOLON_WORKER"
DATABASES = ("airflow", "mlflow")
"""Databases of PostgreSQL, each with an owner of the same name."""

BUCKETS = ("eidolon", "mlflow")
"""Buckets of S3, each with keys of its own."""

EDGE = "airflow.providers.edge3.executors.EdgeExecutor"
QUEUE = "gpu"
ON_WORKERS = ("imagine", "encode", "validate", "embed", "calibrate")
"""The tasks that use an accelerator. Where there are workers, these do them."""

_PATIENCE = {
    "AIRFLOW__EDGE__HEARTBEAT_INTERVAL": "5",  # a worker that misses five is dead
    "AIRFLOW__EDGE__JOB_POLL_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "45",  # a task without a sign of life
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "30",  # how long a task bears an API that is away
}
_NOT_OURS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
"""Variables that would go before the keys of the rehearsal's own S3."""


def rehearsed(home: Path) -> dict[str, Any] | None:
    """The settings of the rehearsal, or ``None`` while there is none: the ports of ``airflow``,
    ``mlflow``, ``postgres`` and ``s3``, and the number of ``workers``."""
    try:
        value: dict[str, Any] = json.loads((home / "cluster.json").read_text())
    except FileNotFoundError:
        return None
    return value


def begin(home: Path, settings: Mapping[str, Any]) -> None:
    """Make this checkout the head of a rehearsal, and make the keys that are missing."""
    with private(home / "keys"):
        lines = []
        for name in ("postgres", *DATABASES):
            password = secret(home, f"postgres_{name}")
            lines.append(f"127.0.0.1:{settings['postgres']}:*:{name}:{password}")
        write_text(home / "keys" / "pgpass", "\n".join(lines) + "\n")
        for bucket in BUCKETS:
            key, value = secret(home, f"s3_{bucket}_id"), secret(home, f"s3_{bucket}_key")
            text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {value}\n"
            write_text(home / "keys" / f"aws_{bucket}", text)
    write_json(home / "cluster.json", dict(settings))


def end(home: Path) -> None:
    """This checkout is no head any more. The data of PostgreSQL and S3 stay."""
    (home / "cluster.json").unlink(missing_ok=True)


def secret(home: Path, name: str) -> str:
    """The secret ``name``, which is made once and which only its owner may read."""
    file = home / "keys" / name
    if not file.exists():
        with private(file.parent):
            write_text(file, secrets.token_hex(24))
    return file.read_text()


def of_head(home: Path) -> dict[str, str]:
    """The variables of the rehearsal's head; none without a rehearsal."""
    settings = rehearsed(home)
    if settings is None:
        return {}
    return {
        HEAD: f"http://127.0.0.1:{settings['airflow']}",
        "EIDOLON_OBJECTS": "s3://eidolon/shared",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{settings['mlflow']}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": address(settings, "airflow"),
        "PGPASSFILE": str(home / "keys" / "pgpass"),
        **of_s3(home, settings, "eidolon"),
    }


def of_mlflow(home: Path) -> dict[str, str]:
    """The variables of the rehearsal's MLflow server, which alone has the keys of its bucket."""
    settings = rehearsed(home)
    assert settings is not None
    return {
        "MLFLOW_BACKEND_STORE_URI": address(settings, "mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": "s3://mlflow",
        **of_s3(home, settings, "mlflow"),
    }


def of_s3(home: Path, settings: Mapping[str, Any], bucket: str) -> dict[str, str]:
    """The variables by which programs reach ``bucket``."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{settings['s3']}",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",  # or a program asks the network for keys
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "keys" / f"aws_{bucket}"),
    }


def address(settings: Mapping[str, Any], database: str) -> str:
    """Where ``database`` is. The password is in the file that PGPASSFILE names."""
    return f"postgresql+psycopg2://{database}@127.0.0.1:{settings['postgres']}/{database}"


def with_cluster(env: dict[str, str], home: Path) -> tuple[dict[str, str], dict[str, str]]:
    """``env`` with the variables of a rehearsal, and the defaults of Airflow that several machines
    need."""
    head = of_head(home)
    if head:
        env = {name: value for name, value in env.items() if name not in _NOT_OURS} | head
    if HEAD not in env:
        return env, {}
    at = env[HEAD].rstrip("/")
    return env, {
        "AIRFLOW__CORE__EXECUTOR": f"LocalExecutor,{EDGE}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{at}/execution/",
        "AIRFLOW__EDGE__API_ENABLED": "True",
        "AIRFLOW__EDGE__API_URL": f"{at}/edge_worker/v1/rpcapi",
        **_PATIENCE,
    }
