"""MLflow: the files of runs, their sizes, and removing them. The callers turn errors into ours by
:func:`components.lifecycle.registry.reached`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from components.lifecycle import runs

_WAITS = 7 * 24 * 3600.0
"""Seconds for which a run of MLflow that never ended may still be going on."""


@dataclass(frozen=True)
class Artifact:
    """A file of a run, by its ``path`` there. ``bytes`` is its size; on this machine a file with
    several names counts by its share."""

    store: ArtifactRepository
    path: str
    bytes: int

    def remove(self) -> None:
        """Remove it."""
        self.store.delete_artifacts(self.path)


def of_run(client: MlflowClient, run_id: str, *folders: str) -> list[Artifact]:
    """The artifacts of a run below ``folders``, by default all."""
    store = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
    return [file for folder in folders or ("",) for file in _walk(store, folder)]


def replace(
    client: MlflowClient, run_id: str, folders: Mapping[str, Path], never_removed: str
) -> None:
    """Write ``folders``, as far as they exist, to the artifacts that they are the values of.

    What is there of them is removed first, except ``never_removed``: versions may share equal
    files, so none is written in place.
    """
    for left in of_run(client, run_id, *folders):
        if left.path != never_removed:
            left.remove()
    for artifact, folder in folders.items():
        if folder.is_dir():
            client.log_artifacts(run_id, str(folder), artifact)


def folder_of(client: MlflowClient, run_id: str) -> Path | None:
    """Where the artifacts of a run lie on this machine, or ``None`` if a server has them."""
    uri = client.get_run(run_id).info.artifact_uri
    is_here = uri.startswith("file:") or "://" not in uri
    return Path(local_file_uri_to_path(uri)) if is_here else None


def ended(client: MlflowClient) -> Iterator[tuple[str, dict[str, str]]]:
    """The id and the tags of each run of a retraining that failed, was killed, or began so long ago
    that it must have ended; the newest first."""
    where = [runs.experiment(client)]
    token = None
    while True:
        page = client.search_runs(where, order_by=["attributes.start_time DESC"], page_token=token)
        yield from ((run.info.run_id, run.data.tags) for run in page if _has_ended(run))
        token = page.token
        if not token:
            return


def _walk(store: ArtifactRepository, path: str) -> Iterator[Artifact]:
    for one in store.list_artifacts(path or None):
        if one.is_dir:
            yield from _walk(store, one.path)
        else:
            yield Artifact(store, one.path, _share(store, one.path, int(one.file_size or 0)))


def _share(store: ArtifactRepository, path: str, size: int) -> int:
    """The ``size`` of a file, divided by the number of its names on this machine."""
    if store.artifact_uri.startswith("file:") or "://" not in store.artifact_uri:
        return size // (Path(local_file_uri_to_path(store.artifact_uri)) / path).stat().st_nlink
    return size


def _has_ended(run: Run) -> bool:
    if run.info.status in ("FAILED", "KILLED"):
        return True
    return time.time() - run.info.start_time / 1000 > _WAITS
