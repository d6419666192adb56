"""The DAG `retrain`: from the dataset to a deployed champion.

Here is order and policy alone: retries, timeouts, the pool. What each task does is in ops.steps;
what is computed from what is in dvc.yaml. Nothing broken is promoted: a Bento is built and has
answered golden queries before its version becomes the champion.

The file is parsed again and again, so it imports nothing heavy.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import chdir
from datetime import timedelta
from typing import Any

from airflow.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk import (
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    chain,
    dag,
    get_current_context,
    task,
)
from assets import CHAMPION, DATASET

from components.errors import EidolonError
from ops import record, steps
from ops.environment import HOME, POOL, ROOT
from ops.stage import Log

HOURS = {
    "dataset": 6,
    "generate": 48,
    "validate": 6,
    "embed": 24,
    "train": 24,
    "evaluate": 6,
    "bundle": 6,
}
"""The stages of dvc.yaml in their order, and how long each may take."""

ACCELERATED = {"generate", "embed"}

Given = Any  # a dict from another task: an XComArg while the DAG is built


def perform(step: Callable[[Log], Any]) -> Any:
    """Run a step, log and record what it says, and translate its outcome for Airflow."""
    instance = get_current_context()["ti"]
    name, run = instance.task_id, os.environ.get("EIDOLON_RUN", instance.run_id)
    file = record.path(HOME, run)
    logger = logging.getLogger("eidolon")

    def log(line: str) -> None:
        logger.info(line)
        record.append(file, record.Event(name, "line", line))

    record.append(file, record.Event(name, "started"))
    try:
        with chdir(ROOT):
            result = step(log)
    except steps.NothingToDo as reason:
        record.append(file, record.Event(name, "skipped", str(reason)))
        raise AirflowSkipException(str(reason)) from None
    except EidolonError as error:  # bad input: another attempt would not help
        record.append(file, record.Event(name, "failed", str(error)))
        raise AirflowFailException(str(error)) from None
    except BaseException as error:
        record.append(file, record.Event(name, "failed", str(error) or type(error).__name__))
        raise
    record.append(file, record.Event(name, "done", result=result or {}))
    return result


def stage_task(name: str, hours: int) -> Any:
    """The task of one stage of dvc.yaml."""

    @task(
        task_id=name,
        execution_timeout=timedelta(hours=hours),
        pool=POOL if name in ACCELERATED else "default_pool",
    )
    def stage() -> dict[str, Any]:
        return perform(lambda log: steps.stage(name, log))

    return stage()


@task
def register() -> dict[str, Any]:
    """The bundle becomes a version of the model, and the challenger."""
    return perform(steps.register)


@task
def gate(registered: Given) -> dict[str, Any]:
    """A challenger that is worse than the champion goes no further."""
    return perform(lambda log: steps.gate(registered["version"], log))


@task
def build(passed: Given) -> dict[str, Any]:
    """A Bento of the registered bundle."""
    return perform(lambda log: steps.build(passed["version"], log))


@task
def check(built: Given) -> dict[str, Any]:
    """The Bento answers golden queries, served aside."""
    return perform(lambda log: steps.check(built["version"], built["tag"], log))


@task(outlets=[CHAMPION])
def promote(registered: Given, built: Given, *, outlet_events: Any = None) -> None:
    """The alias `champion` moves."""
    perform(lambda log: steps.promote(built["version"], log))
    outlet_events[CHAMPION].extra = {
        "version": built["version"],
        "run_id": registered["run_id"],
        "bento": built["tag"],
    }


@task
def deploy(built: Given) -> dict[str, Any]:
    """The endpoint takes the Bento over."""
    return perform(lambda log: steps.deploy(built["version"], built["tag"], log))


@dag(  # without a start_date the first scheduled run waits for its day
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 3 * * 0", timezone="UTC"), assets=[DATASET]
    ),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=15),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(minutes=30),
    },
    tags=["eidolon"],
)
def retrain() -> None:
    """Generate, train, register; the better model is promoted and deployed."""
    computed = [stage_task(name, hours) for name, hours in HOURS.items()]
    registered = register()
    built = build(gate(registered))
    chain(*computed, registered)
    chain(built, check(built), promote(registered, built), deploy(built))


retrain()
