"""The policy that all DAGs share: how often a failed task is tried again, who owns it, and whether
a person approves new champions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import yaml

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


def approval() -> timedelta | None:
    """How long a person has to approve a new champion (`gate.approval`), or ``None`` when none is
    asked. Airflow reads this file again and again, so params.yaml is not checked here."""
    gate = yaml.safe_load((ROOT / "params.yaml").read_text())["gate"]
    return timedelta(hours=gate["approval_hours"]) if gate.get("approval") else None
