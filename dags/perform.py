"""Running a step of ops.steps as an Airflow task. Its output is logged and recorded, and its
outcome becomes success, a skip, a failure that is tried again, or one that is not. When a whole run
has failed, people are told."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import chdir
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.log import mask_secret

from components.errors import EidolonError, TransientError
from components.variables import masked, passwords
from ops import record, steps, webhook
from ops.environment import HOME, ROOT
from ops.stage import Log


def hide_passwords() -> None:
    """Let Airflow hide the passwords of addresses in the environment wherever it logs: the
    traceback of an unexpected error may hold one."""
    for value in os.environ.values():
        for password in passwords(value):
            mask_secret(password)


def run_name() -> str:
    """The name of the run: its record and its snapshot have it."""
    return _recorded(get_current_context()["ti"].run_id)


def why_failed() -> str:
    """The sentence of the task of this run that failed last, as the record has it."""
    return _said(run_name()) or "a task was stopped"


def tell_failed(context: Mapping[str, Any]) -> None:
    """Tell people that a run has failed, by the log and the webhook.

    Airflow calls it once for each such run, in its DAG processor, with the task that failed last.
    """
    dag, run, instance = context["dag"].dag_id, context["run_id"], context.get("ti")
    task, why = "", str(context.get("reason", ""))
    page = os.environ.get("AIRFLOW__API__BASE_URL", "")
    if instance is not None:  # or else no task has failed: none could be started
        task, page = _task_name(instance), instance.log_url
        try:
            why = _said(_recorded(run), task) or "it was stopped"
        except TransientError:  # to be told matters more
            why = "its record cannot be read"
    facts = {"dag": dag, "run": run, "task": task, "reason": masked(why), "page": page}
    text = f"Eidolon: the run {run} of the DAG {dag} has failed{' at ' * bool(task)}{task}"
    text += f": {facts['reason']}\n{page}"
    logger = logging.getLogger("eidolon")
    logger.error(text)
    webhook.tell(text, facts, logger.info)


def _recorded(run: str) -> str:
    return os.environ.get("EIDOLON_RUN", run)


def _said(run: str, task: str | None = None) -> str:
    """What the record of ``run`` says last of a failure, of ``task`` alone if that is given."""
    events = [event for event, _ in record.follow(record.path(HOME, run))]
    failed = [event for event in events if event.kind == "failed" and task in (None, event.task)]
    return failed[-1].text if failed else ""


def _task_name(instance: Any) -> str:
    """The name of a task. One of several for shards is called as DVC calls the stage."""
    index = instance.map_index
    return str(instance.task_id) if index is None or index < 0 else f"{instance.task_id}@{index}"


def perform(step: Callable[[Log], Any]) -> Any:
    """Run a step, log and record its output, and translate its outcome for Airflow."""
    name, run = _task_name(get_current_context()["ti"]), run_name()
    file = record.path(HOME, run)
    logger = logging.getLogger("eidolon")

    def log(line: str) -> None:
        line = masked(line)
        logger.info(line)
        record.append(file, record.Event(name, "line", line))

    hide_passwords()
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
        record.append(
            file, record.Event(name, "failed", masked(str(error)) or type(error).__name__)
        )
        raise
    record.append(file, record.Event(name, "done", result=result or {}))
    return result
