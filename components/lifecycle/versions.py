"""Versions of the data: which one each registered model was trained on, how two differ, and how to
bring one back, from the lineage in MLflow and the DVC remote alone."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import yaml

from components import config, manifest
from components.data import collection, workspace
from components.data.workspace import Log
from components.errors import EidolonError
from components.files import write_text
from components.lifecycle import registry
from components.paths import COLLECTION, DATASET, SOURCE

WORKING = "working"
"""What names the data in this checkout, where a version's number is asked for."""

EXAMPLES = 5
_COMPARED = ("path", "category", "split", "pixels")


@dataclass(frozen=True)
class Difference:
    """What B has and A has not, and the other way round. ``changed`` are categories of both with
    other pictures, ``moved`` those in another split. A picture is the same when its category and
    its pixels are."""

    categories_added: list[str]
    categories_removed: list[str]
    changed: list[str]
    moved: list[str]
    pictures_added: pd.DataFrame
    pictures_removed: pd.DataFrame
    pictures_kept: int

    def lines(self) -> list[str]:
        """What a person is told, with a few examples of each kind."""
        told = [
            ("categories added", self.categories_added),
            ("categories removed", self.categories_removed),
            ("categories with other pictures", self.changed),
            ("categories in another split", self.moved),
            ("pictures added", list(self.pictures_added["path"])),
            ("pictures removed", list(self.pictures_removed["path"])),
        ]
        lines = [f"{len(found):>6} {what}{_examples(found)}" for what, found in told]
        return [*lines, f"{self.pictures_kept:>6} pictures in both"]


def diff(a: str, b: str) -> Difference:
    """How the datasets of two versions differ; each is a number, an alias or :data:`WORKING`."""
    one, other = _dataset(a), _dataset(b)
    splits = [frame.groupby("category")["split"].first() for frame in (one, other)]
    both = splits[0].index.intersection(splits[1].index)
    moved = both[(splits[0][both] != splits[1][both]).to_numpy()]
    keys = [_keys(frame) for frame in (one, other)]
    added, removed = other[~keys[1].isin(keys[0])], one[~keys[0].isin(keys[1])]
    return Difference(
        categories_added=sorted(set(splits[1].index) - set(both)),
        categories_removed=sorted(set(splits[0].index) - set(both)),
        changed=sorted(set(both) & {*added["category"], *removed["category"]}),
        moved=sorted(moved),
        pictures_added=added,
        pictures_removed=removed,
        pictures_kept=len(other) - len(added),
    )


def restore(version: str, log: Log, *, force: bool = False) -> str:
    """Bring back data/dataset and the collection of ``version``; the dataset's DVC hash.

    Raises :class:`EidolonError` when something here would be lost that no version, no commit and no
    cache holds, unless ``force`` is set; and when the DVC remote lacks the version. Nothing is
    changed then. One that was interrupted is completed by another call.
    """
    found = registry.registered(version)
    kept = registry.artifacts(found, "dvc.lock", "lineage")
    lock, pointer = kept["dvc.lock"], kept.get("lineage/pictures.dvc")
    dataset, pictures = workspace.dataset_hash(lock), workspace.collection_hash(pointer)
    with collection.locked():
        begun = workspace.text(collection.RESTORING) == found.version
        if not (force or begun) and (lost := [*workspace.unsaved(), *_uncommitted()]):
            raise EidolonError(
                f"{', '.join(lost)} would be lost: register it (`make run`), commit it, or give"
                " --force"
            )
        workspace.fetch([dataset, *([pictures] if pictures else [])])
        write_text(collection.RESTORING, found.version)
        here, source = workspace.text(SOURCE), kept.get("lineage/source.json")
        workspace.checkout(lock, pointer, kept["lineage/collection.csv"], source)
        collection.RESTORING.unlink()
    asked = [yaml.safe_load(t)["dataset"] for t in (_params(), kept["lineage/params.yaml"])]
    if asked[0] != asked[1]:
        log("params.yaml asks for another dataset: the next `dvc repro` would build that one")
    elif here != source:
        log(
            "dataset.source has changed since that version: the next `dvc repro` would build the"
            " dataset of what lies there now"
        )
    return dataset


def _examples(names: list[str]) -> str:
    shown = ", ".join(names[:EXAMPLES])
    return f": {shown}{', …' if len(names) > EXAMPLES else ''}" if names else ""


def _params() -> str:
    config.load()  # a wrong value is told as such
    return config.PARAMS.read_text()


def _uncommitted() -> list[str]:
    """The collection's manifest, when neither a commit nor a registered version holds its text."""
    path = COLLECTION / "manifest.csv"
    here = workspace.text(path)
    if here is None or here == workspace.committed(path):
        return []
    for version in reversed(registry.versions()):
        try:
            if registry.artifacts(version, "lineage").get("lineage/collection.csv") == here:
                return []
        except registry.MissingArtifactError:
            continue  # of an older release: it holds nothing
    return [str(path)]


def _dataset(name: str) -> pd.DataFrame:
    if name == WORKING:
        return manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    path = "lineage/dataset.csv"
    text = registry.artifacts(registry.registered(name), path)[path]
    return manifest.kept(text, _COMPARED, f"{path} of version {name}")


def _keys(frame: pd.DataFrame) -> pd.Series:
    return frame["category"] + "/" + frame["pixels"]
