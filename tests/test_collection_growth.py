"""A growing collection: what is appended, what is kept for later stages, and the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import ingesting
from components import config, tables
from components.collection import catalog
from components.collection.catalog import Picture
from components.datasets.dataset import make
from components.paths import COLLECTED, COLLECTION
from tests.ingesting import NEW, take, tree


def row(number: int, category: str = 'an "odd", name') -> Picture:
    return Picture(f"a/{number}.png", category, "0" * 64, "1" * 64, "2" * 16, number, "s", "s/é")


@pytest.mark.parametrize(
    "state", ["new", "as written", "of an older release", "in git", "without an end"]
)
def test_rows_are_appended_whatever_the_table_was(project: Path, state: str) -> None:
    path = COLLECTED
    before: list[Picture] = [] if state == "new" else [row(1), row(2)]
    catalog.append(before)
    if state == "of an older release":
        tables.write(path, catalog.read().drop(columns="file"))
    if state == "in git":  # where older releases had it
        path.rename(COLLECTION / path.name)
    if state == "without an end":
        path.write_text(path.read_text().rstrip("\n"))
    catalog.append([row(3), row(4)])
    found = catalog.read()
    assert found["path"].tolist() == [f"a/{one.bytes}.png" for one in before] + [
        "a/3.png",
        "a/4.png",
    ]
    assert path.read_text() == tables.text(found)
    assert not (COLLECTION / path.name).exists()


def test_what_was_ingested_need_not_be_decoded_for_the_dataset(project: Path) -> None:
    known = config.load().dataset
    make(known)
    take(tree(project / "new", {NEW: 5}))
    rows, new = make(known)
    assert new == 0 and (rows["category"] == NEW).sum() == 5


def test_the_benchmark_fills_the_collection_and_measures_batches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ingesting.marks(60_000) == [1000, 10_000, 60_000]
    assert ingesting.marks(5) == [5]
    ingesting.main(files=5, batch=2)
    assert "5 pictures and 2 more" in capsys.readouterr().out
