"""Versions of the collection: DVC keeps its pictures with their manifest, git keeps DVC's hash."""

from __future__ import annotations

from dataclasses import dataclass

from components.collection import catalog
from components.files import text_of
from components.paths import COLLECTED, DATASET, PICTURES, POINTER
from components.progress import Log
from components.versioning import dvc
from components.versioning.lock import collection_hash


@dataclass(frozen=True)
class Saved:
    """A version of the collection.

    ``hash`` is DVC's. ``added`` is the number of pictures that were not yet announced, ``last`` the
    path of the last one.
    """

    hash: str
    pictures: int
    categories: int
    added: int
    last: str


def prepare(log: Log) -> None:
    """Fetch or make what an ingestion compares with: the dataset and the collection's files."""
    if POINTER.is_file() and not any(place.is_dir() for place in PICTURES.glob("*")):
        dvc.run("pull", str(POINTER), quiet=False)
    if not (DATASET / "manifest.csv").is_file():
        log("the dataset is missing: running `dvc repro dataset`")
        dvc.run("repro", "dataset", quiet=False)


def fetch_manifest() -> None:
    """Fetch the collection's manifest without its pictures, in a clone that has neither. Raises
    what :func:`components.versioning.dvc.run` raises when DVC or the remote fails."""
    if POINTER.is_file() and not catalog.is_here():
        dvc.run("pull", str(COLLECTED))


def save_collection(log: Log) -> Saved | None:
    """Version what was ingested, and push it. ``None`` if all of it was announced to Airflow.

    Raises what :func:`components.versioning.dvc.run` raises when DVC or the remote fails. Calling
    this again is safe.
    """
    with catalog.locked():
        added = catalog.unannounced()
        if not added:
            return None
        dvc.run("add", str(PICTURES))
        rows = catalog.read()
        saved = Saved(
            hash=collection_hash(text_of(POINTER)),
            pictures=len(rows),
            categories=rows["category"].nunique(),
            added=len(added),
            last=added[-1],
        )
    dvc.push([str(POINTER)], log)
    return saved
