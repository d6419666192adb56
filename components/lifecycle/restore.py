"""Restores the dataset of a registered version, from its lineage in MLflow and the DVC remote."""

from __future__ import annotations

from components import config, yaml_text
from components.collection import catalog, removed
from components.errors import EidolonError
from components.files import text_of, write_text
from components.lifecycle import registry
from components.paths import COLLECTED, DATASET, PICTURES, POINTER, RESTORING, SOURCE
from components.progress import Log
from components.versioning import dvc, git
from components.versioning.lock import collection_hash, dataset_hash

_ROWS = DATASET / "manifest.csv"


def restore(version: str, log: Log, *, force: bool = False) -> str:
    """Restore data/dataset and the collection of ``version``. Returns the dataset's DVC hash.

    Raises :class:`EidolonError` when changes would be lost that no version, commit or cache holds,
    unless ``force`` is set. Raises it too when the DVC remote lacks the version. Nothing is changed
    in both cases. After an interruption, another call completes the work. Pictures that were
    removed for good do not come back.
    """
    found = registry.registered(version)
    kept = registry.artifacts(found, "dvc.lock", "lineage")
    lock, pointer = kept["dvc.lock"], kept.get("lineage/pictures.dvc")
    dataset, pictures = dataset_hash(lock), collection_hash(pointer)
    with catalog.locked():
        begun = text_of(RESTORING) == found.version
        if not (force or begun) and (lost := [*dvc.unsaved(), *_uncommitted()]):
            raise EidolonError(
                f"{', '.join(lost)} would be lost: register it (`make run`), commit it, or use"
                " --force"
            )
        gone = removed.listed()
        leaner = dvc.fetch([h for h in (dataset, pictures) if h], [one.md5 for one in gone])
        for before, after in leaner.items():
            lock, pointer = lock.replace(before, after), pointer and pointer.replace(before, after)
        write_text(RESTORING, found.version)
        here, source = text_of(SOURCE), kept.get("lineage/source.json")
        dvc.checkout(lock, pointer, source)
        if leaner:
            write_text(_ROWS, removed.without(_ROWS.read_text(), str(_ROWS)))
            log("pictures that were removed since then are left out")
        if pointer is not None:
            _complete(kept.get("lineage/collection.csv"))
        RESTORING.unlink()
    asked = [yaml_text.parsed(t)["dataset"] for t in (_params(), kept["lineage/params.yaml"])]
    if asked[0] != asked[1]:
        log("params.yaml asks for another dataset: the next `dvc repro` would build that one")
    elif here != source:
        log(
            "dataset.source has changed since that version: the next `dvc repro` would build the"
            " dataset from its current content"
        )
    return dataset


def _complete(rows: str | None) -> None:
    """Take pictures that were removed out of the collection's manifest, which is with the pictures;
    for a version of an older release it is ``rows``."""
    rows = COLLECTED.read_text() if rows is None else rows
    left = removed.without(rows, str(COLLECTED))
    if left != text_of(COLLECTED):
        write_text(COLLECTED, left)
        dvc.run("add", str(PICTURES))


def _params() -> str:
    config.load()  # reports a wrong value
    return config.PARAMS.read_text()


def _uncommitted() -> list[str]:
    """The collection, if neither a commit nor a registered version names its version."""
    here = text_of(POINTER)
    if here is None or here == git.committed(POINTER):
        return []
    for version in reversed(registry.versions()):
        try:
            if registry.artifacts(version, "lineage").get("lineage/pictures.dvc") == here:
                return []
        except registry.MissingArtifactError:
            continue  # a version of an older release has no such file
    return [str(POINTER)]
