"""The DAG `retrain`: from the dataset to a new champion.

This file has the order of the tasks and their policy: retries, timeouts, the pool. ops.steps and
ops.rollout have the work of each task, and dvc.yaml says what is computed from what. Nothing broken
is promoted: a Bento is built and answers golden queries before its version becomes the champion.
With `gate.approval` the run ends after the gate, and the DAG `approve` goes on.

Airflow parses this file again and again, so it imports nothing heavy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, chain, dag, task
from assets import CHAMPION, DATASET, DRIFT, PASSED
from perform import perform, run_name, tell_failed
from policy import (
    DEFAULTS,
    accelerated,
    approval,
    deadline,
    documented,
    on_workers,
    shared_out,
    stage_docs,
)
from tasks import Given, build, check

from ops import rollout, steps
from ops.environment import POOL

DOC = """### From the dataset to a new champion
Every Sunday at 03:00 UTC, when pictures were ingested (asset `dataset`), and when the monitor asks
for it (asset `drift`). A run is of the collection, parameters and code that it began with: what
arrives later is the next run's.

* **inspect** stops a dataset that is not fit to train on, **validate** one whose imagined pictures
  are wrong. The page that the log links shows them.
* **gate** skipped: the version is not as good as the champion, and the verdict says where.
  `eidolon promote N --reason TEXT` overrules it.
* **build** skipped: nothing has changed.
* A failed task is tried three times, unless its input is wrong. A finished stage is not computed
  again: clear the failed task to go on."""

HOURS = {
    "dataset": 6,
    "plan": 1,
    "imagine": 48,
    "generate": 6,
    "encode": 24,
    "validate": 6,
    "embed": 24,
    "train": 24,
    "evaluate": 6,
    "calibrate": 24,
    "bundle": 6,
}
"""The stages of dvc.yaml in their order, with `encode`, and how long each may take."""

ALIKE = ("generate", "validate", "embed", "train", "evaluate", "calibrate", "bundle")
"""Those whose tasks do nothing but the stage."""


def policy(stage: str) -> dict[str, Any]:
    """The id, the timeout, the pool and the place of the task of a stage."""
    there = accelerated(stage)
    return {
        "task_id": stage,
        "execution_timeout": timedelta(hours=HOURS[stage]),
        "pool": POOL if there else "default_pool",
        **(on_workers() if there else {}),
    }


def stage_task(name: str) -> Any:
    """The task of one stage of dvc.yaml."""

    @task(**policy(name), doc_md=stage_docs()[name])
    def stage() -> dict[str, Any]:
        return perform(lambda log: steps.stage(name, run_name(), log))

    return stage()


@task(**policy("dataset"))
def dataset() -> dict[str, Any]:
    """Gather the dataset, and pin what this run is of: pictures that come later are the next
    run's."""
    return perform(lambda log: steps.dataset(run_name(), log))


@task
def inspect() -> dict[str, Any]:
    """Stop the run when the dataset is not fit to train on."""
    return perform(steps.inspect)


@task(**policy("plan"))
def plan() -> list[int]:
    """Plan the drawing in shards. `imagine` is mapped over them."""
    shards: list[int] = perform(lambda log: steps.plan(run_name(), log))["shards"]
    return shards


@task(**policy("imagine"), doc_md=stage_docs()["imagine"])
def imagine(shard: int) -> dict[str, Any]:
    """Draw the pictures of one shard."""
    return perform(lambda log: steps.imagine(shard, run_name(), log))


@task(**policy("encode"), doc_md=stage_docs()["encode"])
def encode(shard: int) -> dict[str, Any]:
    """Encode one shard of the pictures that `validate` and `embed` read."""
    return perform(lambda log: steps.encode(shard, run_name(), log))


@task
def register() -> dict[str, Any]:
    """Register the bundle as a version of the model, and as the challenger."""
    return perform(lambda log: rollout.register(run_name(), log))


@task
def gate(registered: Given) -> dict[str, Any]:
    """Compare the challenger with the champion, on the same data. Stop one that is not as good."""
    return perform(lambda log: rollout.gate(registered["version"], log))


@task(outlets=[PASSED])
def submit(passed: Given, *, outlet_events: Any = None) -> None:
    """Ask a person to approve the version: the DAG `approve` starts and waits."""
    perform(lambda log: rollout.submit(passed, log))
    outlet_events[PASSED].extra = passed


@task(outlets=[CHAMPION])
def promote(passed: Given, built: Given, *, outlet_events: Any = None) -> None:
    """Move the alias `champion` to the version, unless somebody else moved it meanwhile. The DAG
    `deploy` brings it to the endpoint."""
    perform(lambda log: rollout.promote(built["version"], passed, log))
    outlet_events[CHAMPION].extra = {"version": built["version"], "bento": built["tag"]}


@dag(  # without a start_date the first scheduled run waits for its day
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * 0", timezone="UTC"), assets=DATASET | DRIFT
    ),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    on_failure_callback=tell_failed,
    default_args=DEFAULTS | {"execution_timeout": timedelta(minutes=30)},
    deadline=deadline("retrain"),
    doc_md=documented(DOC),
    tags=["eidolon"],
)
def retrain() -> None:
    """Generate, train and register. A better version becomes the champion."""
    planned, registered = plan(), register()
    generated, validated, embedded, trained, *measured, bundled = map(stage_task, ALIKE)
    encoded = [encode.expand(shard=planned)] if shared_out() else []
    passed = gate(registered)
    chain(dataset(), inspect(), planned)
    chain(imagine.expand(shard=planned), generated, *encoded, validated)
    chain(validated, embedded, trained, measured, bundled, registered)
    if approval() is not None:
        submit(passed)
        return
    built = build(passed)
    chain(built, check(built), promote(passed, built))


retrain()
