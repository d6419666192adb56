"""`eidolon remove` takes pictures out for good, and says what still has them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from components import config, manifest
from components.collection import catalog, removed, removing
from components.collection.ingest import ingest
from components.collection.removed import RemovedPictures
from components.datasets.dataset import dataset
from components.errors import EidolonError
from components.paths import COLLECTION, DATASET, HOME, QUARANTINE
from components.pruning.garbage import below
from tests.ingesting import KNOWN, NEW, tree

if TYPE_CHECKING:
    from tests.sites import Site

pytest_plugins = ["tests.sites"]


def rows() -> manifest.Manifest:
    return manifest.read(DATASET, manifest.DATASET_COLUMNS, "a test")


def take_out(*names: str) -> list[removed.Removed]:
    with catalog.locked():
        return removing.remove(removing.find(names, rows()), "the owner asked", print)


def add(folder: Path, count: int = 2) -> Path:
    source = tree(folder, {NEW: count})
    ingest(source, config.load().ingest)
    return source


def test_a_removed_picture_leaves_the_collection_and_does_not_come_back(project: Path) -> None:
    source = add(project / "given")
    path, other = catalog.read()["path"]
    file = COLLECTION / "pictures" / path
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (entry,) = take_out(path)
    assert (entry.sha256, entry.reason, entry.bytes > 0) == (digest, "the owner asked", True)
    assert not file.exists() and list(catalog.read()["path"]) == [other]
    assert catalog.unannounced() == [other]
    assert RemovedPictures.read().find(digest, "") == entry
    assert take_out(digest) == [entry]  # again: nothing changes

    outcome = ingest(source, config.load().ingest)
    assert outcome.rejected == {"removed": 1, "duplicate": 1}
    reasons = pd.read_csv(outcome.quarantine / "reasons.csv") if outcome.quarantine else None
    assert reasons is not None
    assert f"was removed on {entry.date}: the owner asked" in set(reasons["reason"])
    assert not [f for f in below(QUARANTINE) if f.suffix == ".png"]


def test_a_picture_of_the_source_is_left_out_and_no_other_changes_its_place(project: Path) -> None:
    dataset(config.load().dataset)
    before, digests = (rows().set_index("path")[name] for name in ("pixels", "sha256"))
    first = next(path for path in before.index if path.startswith("gallery/"))
    kept = HOME / "dataset" / digests[first][:2] / digests[first]
    assert kept.samefile(DATASET / first)
    take_out(first)
    assert not kept.exists()
    dataset(config.load().dataset)
    assert not kept.exists()
    after = rows().set_index("path")["pixels"]
    assert after.equals(before.drop(first))
    assert not (DATASET / first).exists()
    assert "the owner asked" in (DATASET.parent / "left_out.csv").read_text()


def test_a_name_that_names_nothing_changes_nothing(project: Path) -> None:
    add(project / "given")
    path = catalog.read()["path"][0]
    for name in ("gallery/nothing/0000.jpg", "0" * 64, "nothing"):
        with pytest.raises(EidolonError, match=f"{name} is neither the id of a picture"):
            take_out(path, name)
    assert not removed.listed() and len(catalog.read()) == 2


def test_a_removal_that_was_killed_is_completed(project: Path) -> None:
    add(project / "given")
    path = catalog.read()["path"][0]
    (found,) = removing.find([path], rows())
    removed.add([removing._entry(found, "2026-01-01", "x")])  # and then it was killed
    assert take_out(found.sha256)[0].date == "2026-01-01"
    assert len(catalog.read()) == 1 and not (COLLECTION / "pictures" / path).exists()

    last = catalog.read()["path"][0]
    kept = (COLLECTION / "pictures" / last).read_bytes()
    take_out(last)
    (COLLECTION / "pictures" / last).write_bytes(kept)  # as if killed before the file went
    ingest(tree(project / "more", {KNOWN: 1}), config.load().ingest)
    assert not (COLLECTION / "pictures" / last).exists()
    assert not QUARANTINE.exists()


@pytest.mark.slow
def test_what_still_has_a_picture_is_told_and_in_the_end_nothing_has(copy: Site) -> None:
    collection = copy.root / "collection"
    path = pd.read_csv(collection / "pictures" / "manifest.csv")["path"][0]
    data = (collection / "pictures" / path).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    (copy.root / "outbox" / "ingested").mkdir(parents=True)
    (copy.root / "outbox" / "ingested" / "given.png").write_bytes(data)
    refused = copy.eidolon("remove", path)
    assert refused.returncode == 2 and "--reason" in refused.stderr
    assert copy.eidolon("remove", "gallery/none/0000.png", "--reason", "x").returncode == 2

    said = copy.does("remove", path, "--reason", "the owner asked", "--purge")
    assert "removed: 1 pictures" in said and "purged: 1 files in outbox/, 0 objects" in said
    for place in (
        "data/dataset, and what was made from it",
        "version 2 (previous): its bundle and pages in MLflow, and its Bento",
        "version 3 (best, challenger, champion, deployed): its bundle",
        "DVC's cache: 1 copies",
        "DVC's remote: 1 copies",
    ):
        assert place in said
    assert "version 1" not in said

    copy.register()
    copy.does("promote", "4", "--reason", "without it")
    said = copy.does("remove", digest, "--reason", "the owner asked", "--purge")
    assert "objects of DVC" in said and "DVC's" not in said.partition("still are in")[2]
    copy.does("prune", "--keep", "1", "--yes")
    have = [file for file in below(copy.root) if data in file.read_bytes()]
    assert not have

    copy.does("rollback")
    restored = copy.does("data", "restore", "3", "--force")
    assert "were removed since then are left out" in restored
    assert digest not in (copy.root / DATASET / "manifest.csv").read_text()
    assert digest not in (collection / "pictures" / "manifest.csv").read_text()
    assert not [file for file in below(copy.root) if data in file.read_bytes()]
