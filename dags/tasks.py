"""The tasks that several DAGs have."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task
from perform import perform

from ops import rollout

Given = Any  # a dict from another task: an XComArg while the DAG is built


@task
def build(passed: Given) -> dict[str, Any]:
    """Build a Bento of a version that the gate has let pass."""
    return perform(lambda log: rollout.build_passed(passed, log))


@task
def check(built: Given) -> dict[str, Any]:
    """Ask the Bento golden queries, on a port of its own, unless it answered them before."""
    return perform(lambda log: rollout.check(built["tag"], log))
