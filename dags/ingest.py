"""The DAG `ingest`: new pictures become a version of the dataset, and start `retrain`.

It looks into the inbox every quarter of an hour. A run by hand can name a source instead.

Added pictures are announced once: Airflow records the asset's event when the task `version`
succeeds, and the next task then empties the outbox. When a run is killed between the two, the next
run announces the pictures again. That costs a retraining which finds everything up to date, but
every picture is announced.

Airflow parses this file again and again, so it imports nothing heavy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, chain, dag, get_current_context, task
from assets import DATASET
from perform import perform, tell_failed
from policy import DEFAULTS, documented

from ops import steps

DOC = """### New pictures become a version of the dataset
Every quarter of an hour it looks into `inbox/`. Start it by hand with a `source` to read a folder,
an archive or a list.

* **collect** skipped: nothing new.
* What is refused lies in `outbox/quarantine/` with the reasons.
* **version** announces the pictures by the asset `dataset`, which starts `retrain`."""


@task
def collect() -> dict[str, Any]:
    """Check new pictures, and add them to the collection or put them in quarantine."""
    source = get_current_context()["params"]["source"]
    return perform(lambda log: steps.collect(source, log))


@task(outlets=[DATASET])
def version(*, outlet_events: Any = None) -> dict[str, Any]:
    """Version and push the new pictures. Without any, the task is skipped and emits nothing."""
    saved: dict[str, Any] = perform(steps.version)
    outlet_events[DATASET].extra = {k: v for k, v in saved.items() if k != "last"}
    return saved


@task
def announced(saved: Any) -> None:
    """Note that Airflow knows of all added pictures."""
    perform(lambda _: steps.announced(saved["last"]))


@dag(
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    on_failure_callback=tell_failed,
    params={
        "source": Param(
            None,
            type=["null", "string"],
            description="a folder, an archive or a list in inbox/, or in a folder of the variable"
            " EIDOLON_SOURCES; empty: all entries of the inbox",
        )
    },
    default_args=DEFAULTS | {"execution_timeout": timedelta(hours=6)},
    doc_md=documented(DOC),
    tags=["eidolon"],
)
def ingest() -> None:
    """Check new pictures, version the dataset with DVC, announce it."""
    saved = version()
    chain(collect(), saved, announced(saved))


ingest()
