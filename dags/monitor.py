"""The DAG `monitor`: what was asked is compared with what was trained on, and somebody is told.

It runs every day, and by hand. When an alarm asks for a retraining, the task `ask` emits the asset
`drift`; otherwise it is skipped. An alarm fails no task: a failed task means that the monitor
itself does not work.

Airflow parses this file again and again, so it imports nothing heavy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, task
from assets import DRIFT
from perform import perform, tell_failed
from policy import DEFAULTS, documented

from ops import monitoring

Given = Any  # a dict from another task: an XComArg while the DAG is built


@task(
    doc_md="""Compares the queries and marks of the last `monitor.days` days, and today's gallery,
with the champion. Writes the page reports/monitor/index.html and a run of the MLflow experiment
`eidolon-monitor`. Skipped without a champion. It may be tried again at any time.""",
)
def observe() -> dict[str, Any]:
    """Look at the logs of the service, and compare them with the champion."""
    return perform(monitoring.observe)


@task(
    doc_md="""Logs each alarm: the figure, its limit, and what to do. Says which are new since the
last look, which still stand, and which are resolved. Sends them to the address in the variable
`EIDOLON_WEBHOOK`, if there is one. A webhook that does not answer fails nothing.""",
)
def notify(found: Given) -> None:
    """Tell about the alarms, in the log and by the webhook."""
    perform(lambda log: monitoring.notify(found, log))


@task(
    outlets=[DRIFT],
    doc_md="""Emits the asset `drift` when an alarm asks for a retraining. Otherwise it is
skipped, and nothing starts.""",
)
def ask(found: Given, *, outlet_events: Any = None) -> None:
    """Ask for a retraining, if an alarm calls for one."""
    outlet_events[DRIFT].extra = perform(lambda _: monitoring.wanted(found))


@dag(
    schedule=CronTriggerTimetable("0 5 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    on_failure_callback=tell_failed,
    default_args=DEFAULTS | {"execution_timeout": timedelta(minutes=30)},
    tags=["eidolon"],
    doc_md=documented(
        """### Has the world moved?
Every day at 05:00 UTC: are people asking for something else than what the champion was trained for,
are answers slower, degraded or wrong, is the gallery another one, is anything old?

* **An alarm** names the figure, its limit in `params.yaml` (section `monitor`), and what to do.
* **The page** is reports/monitor/index.html, and an artifact of the run in MLflow.
* **`ask` skipped** means that no alarm asks for a retraining, and is the usual case.

What each alarm means: docs/monitoring.md."""
    ),
)
def monitor() -> None:
    """Compare what was asked with what was trained on, and tell somebody."""
    found = observe()
    notify(found)
    ask(found)


monitor()
