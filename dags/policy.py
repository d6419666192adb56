"""What all DAGs share: how often a failed task is tried again, who owns it, whether a person
approves new champions, deadlines, and links to the other pages."""

from __future__ import annotations

import ast
import os
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from components import yaml_text
from components.paths import MONITOR, VALIDATION, VERDICT
from ops import pages
from ops.cluster.settings import HEAD, ON_WORKERS, QUEUE
from ops.environment import ROOT

OWNER = "eidolon"

DEFAULTS: dict[str, Any] = {
    "owner": OWNER,
    "retries": 2,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
}
"""Default arguments of a DAG. A remote or a registry that is down may be back in a minute."""


def on_workers() -> dict[str, Any]:
    """Lets the workers do a task, where there are several machines. A worker may die, so such a
    task is soon tried again, and more often: by another worker."""
    if HEAD not in os.environ:
        return {}
    again = {"retries": 4, "retry_delay": timedelta(seconds=5)}
    return {"executor": "EdgeExecutor", "queue": QUEUE} | again


def approval() -> timedelta | None:
    """How long a person has to approve a new champion (`gate.approval`), or ``None`` when none is
    asked."""
    gate = _params()["gate"]
    return timedelta(hours=gate["approval_hours"]) if gate.get("approval") else None


def accelerated(stage: str) -> bool:
    """Whether ``stage`` uses an accelerator: training does if `train.accelerator` says so."""
    return stage in ON_WORKERS or (stage == "train" and bool(_params()["train"].get("accelerator")))


def shared_out() -> bool:
    """Whether the work of accelerators is divided (`generator.shards`)."""
    return len(_params()["generator"]["shards"]) > 1


def _params() -> dict[str, Any]:
    """params.yaml as it is: Airflow reads the DAGs again and again, so it is not checked here."""
    params: dict[str, Any] = yaml_text.parsed((ROOT / "params.yaml").read_text())
    return params


def deadline(dag: str) -> DeadlineAlert | None:
    """Tells people when a run of ``dag`` is not done after `EIDOLON_DEADLINE_HOURS`. Off unless the
    variable is set: `airflow dags test`, and so `make run`, fails with a deadline."""
    hours = os.environ.get("EIDOLON_DEADLINE_HOURS")
    if not hours or os.environ.get("EIDOLON_RUN"):
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=float(hours)),
        callback=AsyncCallback("ops.webhook.late", {"dag": dag, "hours": float(hours)}),
    )


@cache
def stage_docs() -> dict[str, str]:
    """What `eidolon --help` says of each stage. It is read and not imported: see
    docs/architecture.md."""
    code = (Path(__file__).parents[1] / "components" / "cli" / "stages.py").read_text()
    verbs = (one for one in ast.parse(code).body if isinstance(one, ast.FunctionDef))
    return {verb.name: ast.get_docstring(verb) or "" for verb in verbs}


def documented(text: str) -> str:
    """``text`` for Airflow's page of a DAG, with links to the other pages, and the names of files:
    Airflow makes no link of a file."""
    linked = {
        "the model in MLflow": pages.mlflow(pages.MODEL),
        "the runs in MLflow": pages.mlflow("experiments"),
        "the endpoint": pages.endpoint(),
        "its interface": f"{pages.endpoint()}/docs",
    }
    files = {
        "what validation found": VALIDATION / "index.html",
        "the last verdict": VERDICT / "index.html",
        "the monitor": MONITOR / "index.html",
        "the manual": Path("docs/operations.md"),
    }
    links = " · ".join(f"[{name}]({link})" for name, link in linked.items())
    return f"{text}\n\n{links}\n\n" + " · ".join(
        f"{name}: `{ROOT / file}`" for name, file in files.items()
    )
