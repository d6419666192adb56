"""The history of the champion: who was live when, why, and who decided it.

Each move of the alias is a run of its own in MLflow's experiment `eidolon-history`. So the history
is where the registry is, and MLflow's pages show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from components.lifecycle import registry, runs

EXPERIMENT = "eidolon-history"

How = Literal["promoted", "rolled back", "put back", "found"]
"""``put back``: the new champion could not be deployed. ``found``: somebody moved the alias in
MLflow itself."""


@dataclass(frozen=True)
class Move:
    """The champion changed from the version ``before`` to ``version``; either may be empty.

    ``by`` is a person or a DAG, and ``reason`` a sentence.
    """

    how: How
    version: str
    before: str
    by: str
    reason: str


@dataclass(frozen=True)
class Moved(Move):
    """A move that happened, and its ``time`` in UTC."""

    time: datetime


@registry.reached()
def record(move: Move) -> None:
    """Add ``move`` to the history."""
    client = registry.client()
    run = client.create_run(
        runs.experiment(client, EXPERIMENT),
        run_name=f"{move.how} {move.version}".strip(),
        tags={**asdict(move), "mlflow.note.content": f"{move.reason} ({move.by})"},
    )
    client.set_terminated(run.info.run_id)


@registry.reached()
def moves(limit: int = 1000) -> list[Moved]:
    """The latest ``limit`` moves, newest first."""
    client = registry.client()
    found = client.search_runs(
        [runs.experiment(client, EXPERIMENT)],
        max_results=limit,
        order_by=["attributes.start_time DESC"],
    )
    return [
        _moved(run.data.tags, datetime.fromtimestamp(run.info.start_time / 1000, UTC))
        for run in found
    ]


def _moved(tags: Mapping[str, Any], time: datetime) -> Moved:
    return Moved(**{name: tags.get(name, "") for name in Move.__dataclass_fields__}, time=time)
