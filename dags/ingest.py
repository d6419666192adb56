"""The DAG `ingest`: new pictures become a version of the dataset, and start `retrain`.

Every quarter of an hour it looks into the inbox; a run by hand can name a source instead. Only what
was added is announced, once: the asset's event is recorded when the task `version` ends well, and
the task behind it then empties the outbox. A run that is killed between the two announces again,
which costs a retraining that finds everything up to date; nothing is ever left unannounced.

The file is parsed again and again, so it imports nothing heavy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, chain, dag, get_current_context, task
from assets import DATASET
from perform import perform
from retries import RETRIES

from ops import steps


@task
def collect() -> dict[str, Any]:
    """New pictures are checked, and join the collection or are put aside."""
    source = get_current_context()["params"]["source"]
    return perform(lambda log: steps.collect(source, log))


@task(outlets=[DATASET])
def version(*, outlet_events: Any = None) -> dict[str, Any]:
    """What is new is versioned and pushed; nothing new skips this, and so emits nothing."""
    saved: dict[str, Any] = perform(steps.version)
    outlet_events[DATASET].extra = {k: v for k, v in saved.items() if k != "last"}
    return saved


@task
def announced(saved: Any) -> None:
    """Airflow knows of all that was added."""
    perform(lambda _: steps.announced(saved["last"]))


@dag(
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={
        "source": Param(
            None,
            type=["null", "string"],
            description="a folder, an archive or a list in inbox/, or in a folder of the variable"
            " EIDOLON_SOURCES; nothing: what lies in the inbox",
        )
    },
    default_args=RETRIES | {"execution_timeout": timedelta(hours=6)},
    tags=["eidolon"],
)
def ingest() -> None:
    """Check new pictures, version the dataset with DVC, announce it."""
    saved = version()
    chain(collect(), saved, announced(saved))


ingest()
