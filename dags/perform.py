"""Running a step of ops.steps as an Airflow task. Its output is logged and recorded, and its
outcome becomes success, a skip, a failure that is tried again, or one that is not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import chdir
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.log import mask_secret

from components.errors import EidolonError
from components.variables import masked, passwords
from ops import record, steps
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
    return str(os.environ.get("EIDOLON_RUN", get_current_context()["ti"].run_id))


def why_failed() -> str:
    """The sentence of the task of this run that failed last, as the record has it."""
    events = [event for event, _ in record.follow(record.path(HOME, run_name()))]
    said = [event.text for event in events if event.kind == "failed"]
    return said[-1] if said else "a task was stopped"


def perform(step: Callable[[Log], Any]) -> Any:
    """Run a step, log and record its output, and translate its outcome for Airflow."""
    instance = get_current_context()["ti"]
    name, run = instance.task_id, run_name()
    if instance.map_index is not None and instance.map_index >= 0:
        name = f"{name}@{instance.map_index}"  # as DVC calls the stage of a shard
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
