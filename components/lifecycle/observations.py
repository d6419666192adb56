"""MLflow: what the monitor saw, as runs of an experiment of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from components import manifest
from components.errors import EidolonError
from components.lifecycle import registry, runs

EXPERIMENT = "eidolon-monitor"


@registry.reached()
def record(name: str, metrics: Mapping[str, float], tags: Mapping[str, str], page: Path) -> str:
    """Log ``metrics`` and the folder ``page`` as a run, and return where to find it.

    Raises :class:`EidolonError` for what the registry refuses, and :class:`TransientError` for an
    outage.
    """
    client = registry.client()
    run = client.create_run(runs.experiment(client, EXPERIMENT), run_name=name, tags=dict(tags))
    for key, value in metrics.items():
        client.log_metric(run.info.run_id, key, value)
    client.log_artifacts(run.info.run_id, str(page), "monitor")
    client.set_terminated(run.info.run_id)
    return f"{registry.tracking_uri()} experiment {EXPERIMENT}, run {run.info.run_id}"


def pixels(version: str) -> dict[str, str]:
    """The hash of the pixels of each picture of a registered version's dataset, by its path.

    Empty for a version that does not keep its dataset's manifest, or no longer exists.
    """
    try:
        found = registry.artifacts(registry.registered(version), "lineage/dataset.csv")
    except EidolonError:
        return {}
    rows = manifest.kept(found["lineage/dataset.csv"], ("path", "pixels"), "dataset.csv")
    return dict(zip(rows["path"], rows["pixels"], strict=True))


def since(version: registry.Registered) -> datetime:
    """When the data of ``version`` was first registered: the age of its newest pictures."""
    data = version.tags.get("dataset")
    return min(
        (one.created for one in registry.versions() if one.tags.get("dataset") == data),
        default=version.created,
    )
