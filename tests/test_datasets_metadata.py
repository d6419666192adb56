"""An owner's metadata.csv: from the source into the manifest, the gallery, filters and hits."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from components import config, manifest, tables
from components.collection import removed
from components.collection.removed import Removed
from components.datasets.dataset import dataset, make
from components.datasets.source import source
from components.errors import EidolonError, QueryError
from components.features.embed import embed
from components.paths import BUNDLE, DATASET
from components.serving.bundle import bundle
from components.serving.retriever import How
from tests import trees
from tests.searching import Searching

NAMES = ("fox", "lynx", "otter", "wolf", "ibex")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of five categories with three pictures each, where nothing was ever ingested."""
    monkeypatch.chdir(tmp_path)
    for number in range(15):
        trees.photo(tmp_path / "photos" / NAMES[number // 3] / f"{number % 3}.jpg", number)
    return tmp_path / "photos"


def made(photos: Path) -> pd.DataFrame:
    dataset(trees.tree(photos, 2, 1))
    return manifest.read(DATASET, manifest.DATASET_COLUMNS, "").set_index("source")


def test_the_owners_columns_follow_those_of_the_manifest(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = made(photos)
    header = (DATASET / "manifest.csv").read_text().splitlines()[0]
    assert header == ",".join(manifest.DATASET_COLUMNS)
    (photos / "notes.txt").write_text("no picture")
    rows = ("fox/0.jpg,007,früh  am\u00a0Tag ", "./wolf/1.jpg,NA,", "notes.txt,1,no picture")
    lines = "\r\n".join(("path,seed,Taken in", *rows))
    (photos / "metadata.csv").write_text(f"{lines}\r\n", encoding="utf-8-sig", newline="")
    found = made(photos)
    pd.testing.assert_frame_equal(found[before.columns], before)
    assert [*found.columns.drop(before.columns)] == ["seed", "Taken in"]
    told = found[["seed", "Taken in"]].T.to_dict("list")
    given = {"fox/0.jpg": ["007", "früh am Tag"], "wolf/1.jpg": ["NA", ""]}
    assert told == {name: ["", ""] for name in before.index} | given
    assert "metadata.csv also has 1 files that the dataset lacks" in capsys.readouterr().err
    assert pd.read_csv("data/left_out.csv")["file"].tolist() == [f"{photos}/notes.txt"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"metadata\.csv is damaged \(it is empty\)"),
        ("file,place\nfox/0.jpg,north\n", r"metadata\.csv is damaged \(it lacks.*\['path'\]"),
        ("path,place\nfox/0.jpg,north,cold\n", r"metadata\.csv is damaged .*'cold'\] has 3 values"),
        ("path,Category\n", r"metadata\.csv, row 1: the column 'Category' is Eidolon's own"),
        ("path,sha256\n", "row 1: the column 'sha256' is Eidolon's own"),
        ("path,place,place\n", "row 1: the column 'place' is Eidolon's own, or there twice"),
        ("path,path\n", "row 1: the column 'path' is .*there twice"),
        ("path,a=b\n", "row 1: the column 'a=b' cannot be a name"),
        ("path,\n", "row 1: the column '' cannot be a name"),
        (
            "path,a\nfox/0.jpg,1\nfox/9.jpg,2\n",
            r"csv, row 3: .* has no file 'fox/9\.jpg'",
        ),
        ("path,a\nfox,1\n", "row 2: .* has no file 'fox'"),
        ("path,a\n,1\n", "row 2: .* has no file ''"),
        ("path,a\nfox/../fox/0.jpg,1\n", "row 2: .* has no file"),
        (f"path,a\n{__file__},1\n", "row 2: .* has no file"),
        ("path,a\nfox/0\0.jpg,1\n", "row 2: .* has no file"),
        ("path,a\nfox/0.jpg,1\n\nfox//0.jpg,1\n", r"row 3: fox//0\.jpg is in row 2 too"),
    ],
)
def test_each_fault_is_one_sentence_with_its_row(photos: Path, text: str, said: str) -> None:
    made(photos)
    before = (DATASET / "manifest.csv").read_bytes()
    (photos / "metadata.csv").write_text(text)
    (photos / "fox" / "2.jpg").write_bytes(b"\xff\xd8\xff")  # found later than the fault
    with pytest.raises(EidolonError, match=said) as error:
        made(photos)
    assert "\n" not in str(error.value)
    assert (DATASET / "manifest.csv").read_bytes() == before


def test_a_file_that_is_not_utf_8_is_refused(photos: Path) -> None:
    (photos / "metadata.csv").write_bytes("path,place\nfox/0.jpg,Köln\n".encode("latin-1"))
    with pytest.raises(EidolonError, match=r"metadata\.csv cannot be read .*save it as CSV in UTF"):
        made(photos)


def test_a_changed_file_is_noticed_and_no_picture_is_decoded_for_it(photos: Path) -> None:
    chosen = trees.tree(photos, 2, 1)
    record, known = photos.parent / "source.json", photos.parent / "known.sqlite"
    make(chosen, DATASET, known)
    seen = set()
    for text in ("path,a\nfox/0.jpg,1\n", "path,a\nfox/0.jpg,2\n", "path,a\nfox/0.jpg,2\n"):
        (photos / "metadata.csv").write_text(text)
        source(chosen, record, known)
        seen.add(record.read_text())
        rows, new = make(chosen, DATASET, known)
        assert new == 0 and rows.set_index("source")["a"]["fox/0.jpg"] == text[-2]
    assert len(seen) == 2


def test_pictures_of_a_benchmark_are_named_below_its_folder(tmp_path: Path) -> None:
    root = trees.oxford102(tmp_path)
    (root / "metadata.csv").write_text("path,place\njpg/image_00003.jpg,garden\n")
    rows = dataset(trees.params("oxford102", root), tmp_path / "out", tmp_path / "known.sqlite")
    assert rows.loc[rows["place"] != "", "source"].tolist() == ["jpg/image_00003.jpg"]


def test_a_picture_that_was_removed_takes_its_row_along(photos: Path) -> None:
    gone = made(photos)["pixels"].to_dict()["fox/0.jpg"]
    removed.add([Removed("0" * 64, "0" * 32, 1, gone, "2026-01-01", "asked for")])
    (photos / "metadata.csv").write_text("path,a\nfox/0.jpg,secret\nfox/1.jpg,kept\n")
    rows = made(photos)
    assert "fox/0.jpg" not in rows.index and rows["a"]["fox/1.jpg"] == "kept"


def test_hits_show_the_owners_columns_and_filters_know_them(
    toy_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = tables.read(DATASET / "manifest.csv", ("source", "subset"), "")
    owned = shown.loc[shown["subset"] == "gallery", "source"].tolist()
    values = config.load().model_dump(mode="json")
    values["dataset"]["source"] = str(toy_copy / "pictures")
    params = config.Params.model_validate(values)
    before = {p.name: p.read_bytes() for p in BUNDLE.iterdir()}
    places = {name: ("north", "south")[i % 2] for i, name in enumerate(owned[:6])}
    lines = [f"{name},{place},\n" for name, place in places.items()]
    (toy_copy / "pictures" / "metadata.csv").write_text("path,place,seed\n" + "".join(lines))
    assert make(params.dataset).new == 0
    embed(params.encoders)
    assert re.search(r"embed: 0 of \d+ pictures encoded", capsys.readouterr().err)
    bundle(params)
    changed = {p.name for p in BUNDLE.iterdir() if p.read_bytes() != before[p.name]}
    assert changed == {"gallery.csv", "bundle.json"}

    search = Searching(BUNDLE, params)
    retriever = search.worker.retriever
    assert retriever.columns == ["category", "source", "split", "place", "seed"]
    answer = search("star", k=50, filter={"place": "north"})
    assert answer["total"] == len(answer["hits"]) == 3
    for hit in answer["hits"]:
        assert hit["metadata"] == {"place": places[hit["source"]], "seed": ""}
        assert hit["metadata"]["place"] == "north"
    both = {"place": ["north", "south"], "source": owned[:2]}
    assert search("star", k=50, filter=both)["total"] == 2
    every = {hit["source"]: hit["metadata"]["place"] for hit in search("star", k=99)["hits"]}
    assert every == dict.fromkeys(owned, "") | places
    with pytest.raises(QueryError, match="no picture has the place 'west'"):
        retriever.rank(retriever.ask("star"), None, How(filter={"place": "west"}))


def test_without_the_file_a_bundle_is_as_before(toy_copy: Path) -> None:
    before = {p.name: p.read_bytes() for p in BUNDLE.iterdir()}
    shutil.rmtree(BUNDLE)
    params = config.load()
    dataset(params.dataset)
    embed(params.encoders)
    bundle(params)
    assert {p.name: p.read_bytes() for p in BUNDLE.iterdir()} == before
    header = (BUNDLE / "gallery.csv").read_text().splitlines()[0]
    assert header == "path,category,source,split,dhash"
