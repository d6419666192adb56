"""The DAG `retrain`: from the dataset to a deployed champion.

This file has the order of the tasks and their policy: retries, timeouts, the pool. ops.steps has
the work of each task, and dvc.yaml says what is computed from what. Nothing broken is promoted: a
Bento is built and answers golden queries before its version becomes the champion.

Airflow parses this file again and again, so it imports nothing heavy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, chain, dag, task
from assets import CHAMPION, DATASET
from perform import perform
from retries import RETRIES

from ops import steps
from ops.environment import POOL

HOURS = {
    "dataset": 6,
    "plan": 1,
    "imagine": 48,
    "generate": 6,
    "validate": 6,
    "embed": 24,
    "train": 24,
    "evaluate": 6,
    "calibrate": 24,
    "bundle": 6,
}
"""The stages of dvc.yaml in their order, and how long each may take."""

ACCELERATED = {"imagine", "validate", "embed", "calibrate"}

Given = Any  # a dict from another task: an XComArg while the DAG is built


def policy(stage: str) -> dict[str, Any]:
    """The id, the timeout and the pool of the task of a stage of dvc.yaml."""
    return {
        "task_id": stage,
        "execution_timeout": timedelta(hours=HOURS[stage]),
        "pool": POOL if stage in ACCELERATED else "default_pool",
    }


def stage_task(name: str) -> Any:
    """The task of one stage of dvc.yaml."""

    @task(**policy(name))
    def stage() -> dict[str, Any]:
        return perform(lambda log: steps.stage(name, log))

    return stage()


@task
def inspect() -> dict[str, Any]:
    """Stop the run when the dataset is not fit to train on."""
    return perform(steps.inspect)


@task(**policy("plan"))
def plan() -> list[int]:
    """Plan the drawing in shards. `imagine` is mapped over them."""
    shards: list[int] = perform(steps.plan)["shards"]
    return shards


@task(**policy("imagine"))
def imagine(shard: int) -> dict[str, Any]:
    """Draw the pictures of one shard."""
    return perform(lambda log: steps.imagine(shard, log))


@task
def register() -> dict[str, Any]:
    """Register the bundle as a version of the model, and as the challenger."""
    return perform(steps.register)


@task
def gate(registered: Given) -> dict[str, Any]:
    """Stop a challenger that is worse than the champion."""
    return perform(lambda log: steps.gate(registered["version"], log))


@task
def build(passed: Given) -> dict[str, Any]:
    """Build a Bento of the registered bundle."""
    return perform(lambda log: steps.build(passed["version"], log))


@task
def check(built: Given) -> dict[str, Any]:
    """Ask the Bento golden queries, on a port of its own."""
    return perform(lambda log: steps.check(built["version"], built["tag"], log))


@task(outlets=[CHAMPION])
def promote(registered: Given, built: Given, *, outlet_events: Any = None) -> None:
    """Move the alias `champion` to the version."""
    perform(lambda log: steps.promote(built["version"], log))
    outlet_events[CHAMPION].extra = {
        "version": built["version"],
        "run_id": registered["run_id"],
        "bento": built["tag"],
    }


@task
def deploy(built: Given) -> dict[str, Any]:
    """Let the endpoint serve the Bento."""
    return perform(lambda log: steps.deploy(built["version"], built["tag"], log))


@dag(  # without a start_date the first scheduled run waits for its day
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * 0", timezone="UTC"), assets=[DATASET]
    ),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args=RETRIES | {"execution_timeout": timedelta(minutes=30)},
    tags=["eidolon"],
)
def retrain() -> None:
    """Generate, train and register. A better model is promoted and deployed."""
    planned, registered = plan(), register()
    first, *others = [stage_task(name) for name in HOURS if name not in ("plan", "imagine")]
    built = build(gate(registered))
    chain(first, inspect(), planned)
    chain(imagine.expand(shard=planned), *others, registered)
    chain(built, check(built), promote(registered, built), deploy(built))


retrain()
