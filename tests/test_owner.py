"""The name of the owner's file stays known, from the source to the answer and every page."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pandas as pd

from components import config, manifest
from components.collection import catalog
from components.collection.ingest import Outcome, ingest
from components.datasets.dataset import dataset
from components.paths import BUNDLE, COLLECTED, DATASET, INSPECTION
from components.validation.inspection import inspect
from tests.ingesting import KNOWN, NEW, photo, tree
from tests.searching import Searching


def take(source: Path) -> Outcome:
    return ingest(source, config.load().ingest)


def reasons(outcome: Outcome) -> pd.DataFrame:
    assert outcome.quarantine is not None
    return pd.read_csv(outcome.quarantine / "reasons.csv", keep_default_na=False)


def test_an_ingested_picture_keeps_its_owner_s_name(dataset_copy: Path) -> None:
    folder = KNOWN.replace(" ", "_")
    take(tree(dataset_copy / "mine", {KNOWN: 1}))
    photo(KNOWN, 1).save(dataset_copy / "1.png")
    with zipfile.ZipFile(dataset_copy / "photos.zip", "w") as archive:
        archive.write(dataset_copy / "1.png", f"holidays/{folder}/one.png")
    take(dataset_copy / "photos.zip")
    photo(KNOWN, 2).save(dataset_copy / "2.png")
    (dataset_copy / "list.csv").write_text(f"2.png,{KNOWN}\n")
    take(dataset_copy / "list.csv")
    names = [f"mine/{folder}/0.png", f"photos.zip!holidays/{folder}/one.png", "2.png"]
    assert catalog.read()["file"].tolist() == names
    assert catalog.read()["source"].tolist() == ["mine", "photos.zip", "list.csv"]
    rows = dataset(config.load().dataset).set_index("source")
    assert set(names) <= set(rows.index)
    assert f"{folder}/0.png" in rows.index  # relative to dataset.source
    read = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    assert read["source"].tolist() == rows.index.tolist()


def test_a_name_keeps_every_character_that_a_table_can_hold() -> None:
    kept = '\N{MAN}\N{ZERO WIDTH JOINER}\N{GIRL} früh, "x".png'
    assert catalog.printable(kept) == kept
    assert catalog.printable("a\nb\udcff\x1b") == "a\ufffdb\ufffd\ufffd"


def test_a_refusal_names_the_similar_picture(dataset_copy: Path) -> None:
    take(tree(dataset_copy / "mine", {NEW: 1}))
    again = take(tree(dataset_copy / "again", {NEW: 1}))
    (row,) = reasons(again).to_dict("records")
    assert row["like"] == f"mine/{NEW.replace(' ', '_')}/0.png"
    assert row["file"].endswith(f"again/{NEW.replace(' ', '_')}/0.png")
    place = dataset_copy / "known" / KNOWN.replace(" ", "_")
    place.mkdir(parents=True)
    known = manifest.read(DATASET, manifest.DATASET_COLUMNS, "").query("category == @KNOWN")
    shutil.copy(DATASET / known["path"].iloc[0], place)
    (row,) = reasons(take(dataset_copy / "known")).to_dict("records")
    assert row["like"] == known["source"].iloc[0] == f"{KNOWN.replace(' ', '_')}/0.png"


def test_tables_of_older_releases_are_read(dataset_copy: Path) -> None:
    take(tree(dataset_copy / "mine", {NEW: 1}))
    path = COLLECTED
    catalog.read().drop(columns="file").to_csv(path, index=False)
    assert catalog.read()["file"].tolist() == ["mine"]
    take(tree(dataset_copy / "more", {NEW: 2}))
    assert catalog.read()["file"].tolist() == ["mine", f"more/{NEW.replace(' ', '_')}/1.png"]
    rows = manifest.read(DATASET, manifest.DATASET_COLUMNS, "")
    rows.drop(columns="source").to_csv(DATASET / "manifest.csv", index=False)
    assert set(manifest.read(DATASET, manifest.DATASET_COLUMNS, "")["source"]) == {""}


def test_a_drawn_picture_has_no_owner(dataset_copy: Path) -> None:
    values = config.load().dataset.model_dump() | {"adapter": "emblems", "source": None}
    values |= {"gallery_per_category": 1, "training_per_category": 1}
    assert set(dataset(config.Dataset.model_validate(values))["source"]) == {""}


def test_an_answer_names_the_owners_file(in_toy: Path) -> None:
    params = config.load()
    for hit in Searching(BUNDLE, params)("red plain star")["hits"]:
        assert params.dataset.source is not None
        owned = params.dataset.source / hit["source"]
        assert owned.read_bytes() == (DATASET / hit["id"]).read_bytes()


def test_the_inspections_page_names_the_files(dataset_copy: Path) -> None:
    rows = manifest.read(DATASET, manifest.DATASET_COLUMNS, "")
    gallery = rows[(rows["category"] == KNOWN) & (rows["subset"] == "gallery")]
    shutil.copy(DATASET / gallery["path"].iloc[0], DATASET / gallery["path"].iloc[1])
    inspect(config.load().inspect, None)
    found = pd.read_csv(INSPECTION / "measurements.csv", keep_default_na=False).set_index("path")
    copies = found[found["reason"] == "is there twice"]
    assert copies["source"].tolist() == gallery["source"].iloc[:2].tolist()
    assert copies["like"].tolist() == gallery["source"].iloc[1::-1].tolist()
    page = (INSPECTION / "index.html").read_text()
    assert all(f"<td>{name}</td>" in page for name in copies["source"])
