"""Ingesting: what is taken, what is put aside and why, and what a kill leaves behind."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from benchmarks.lookalikes import KINDS
from components import config
from components.collection import archives, catalog
from components.collection.candidates import candidates
from components.collection.ingest import Outcome, ingest
from components.collection.opening import Unreadable, open_regular
from components.datasets.dataset import dataset
from components.datasets.emblems import Category, draw
from components.errors import EidolonError
from components.images.hashing import likeness
from components.names import clean
from components.paths import (
    COLLECTION,
    DATASET,
    HOME,
    INBOX,
    INGESTED,
    OUTBOX,
    QUARANTINE,
    REASONS,
)
from ops import inbox, steps
from tests import toy
from tests.clones import Clone

NEW = "orange plain cross"
KNOWN = "red plain star"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the toy dataset and no models."""
    root = tmp_path_factory.mktemp("ingest")
    toy.save_pictures(root / "pictures")
    values = toy.params(root / "models", root / "pictures")
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    dataset(config.load(root / "params.yaml").dataset, root / DATASET)
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working directory; nothing was ingested."""
    subprocess.run(["cp", "-r", f"{made}/.", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photo(name: str = NEW, index: int = 0) -> Image.Image:
    return draw(Category.parse(name), seed=9, subset="ingest", index=index)


def png(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tree(root: Path, counts: dict[str, int]) -> Path:
    """A folder with so many photos of each category."""
    for name, count in counts.items():
        place = root / name.replace(" ", "_")
        place.mkdir(parents=True)
        for i in range(count):
            photo(name, i).save(place / f"{i}.png")
    return root


def take(source: Path, **change: float) -> Outcome:
    return ingest(source, config.load().ingest.model_copy(update=change))


def reasons(outcome: Outcome) -> pd.DataFrame:
    assert outcome.quarantine is not None
    return pd.read_csv(outcome.quarantine / "reasons.csv", keep_default_na=False)


def test_a_folder_joins_the_collection_and_the_dataset(project: Path) -> None:
    outcome = take(tree(project / "new", {NEW: 5, KNOWN: 3}))
    assert (outcome.files, outcome.added, outcome.rejected) == (8, 8, {})
    assert outcome.new_categories == [NEW]
    rows = catalog.read()
    assert rows["category"].value_counts().to_dict() == {NEW: 5, KNOWN: 3}
    for path, known_by in zip(catalog.files(), rows["pixels"], strict=True):
        assert likeness(Image.open(path)).pixels == known_by
    before = pd.read_csv(DATASET / "manifest.csv")
    after = dataset(config.load().dataset)
    merged = after.merge(before, how="left", indicator=True)
    added = merged[merged["_merge"] == "left_only"]
    assert set(added["pixels"]) == set(rows["pixels"])
    assert len(after) == len(before) + 8
    assert (
        added.loc[added["category"] == KNOWN, "split"].unique()
        == before.loc[before["category"] == KNOWN, "split"].unique()
    )
    for name in (NEW, KNOWN):
        of = added[added["category"] == name]
        trains = (of["subset"] == "training").sum()
        assert trains == (0 if of["split"].iloc[0] == "unseen" else len(of) // 3)


def test_later_pictures_move_no_earlier_one(project: Path) -> None:
    take(tree(project / "one", {NEW: 5}))
    before = dataset(config.load().dataset)
    names = ["yellow plain arrow", "yellow plain bolt", "pink plain circle", KNOWN]
    take(tree(project / "two", dict.fromkeys(names, 4)))
    after = dataset(config.load().dataset)
    assert len(after) == len(before) + 16
    kept = before.merge(after)
    assert len(kept) == len(before)  # path, split, subset and content of each are as they were


def test_a_new_category_waits_until_it_has_enough(project: Path) -> None:
    take(tree(project / "one", {NEW: 3}))
    assert NEW not in set(dataset(config.load().dataset)["category"])
    photo(NEW, 77).save(project / "one" / NEW.replace(" ", "_") / "more.png")
    assert take(project / "one").added == 1
    assert NEW in set(dataset(config.load().dataset)["category"])


def test_splits_of_new_categories_have_their_shares(project: Path) -> None:
    from components.datasets.merge import _split

    names = [f"category {i}" for i in range(4000)]
    shares = pd.Series([_split(name, 0) for name in names]).value_counts(normalize=True)
    for split, share in (("train", 0.6), ("validation", 0.15), ("unseen", 0.25)):
        assert abs(shares[split] - share) < 0.03
    assert [_split(n, 1) for n in names] != [_split(n, 0) for n in names]


def test_nothing_is_added_twice(project: Path) -> None:
    source = tree(project / "new", {NEW: 4})
    assert take(source).added == 4
    text, files = (COLLECTION / "manifest.csv").read_bytes(), sorted(catalog.files())
    again = take(source)
    assert (again.added, again.rejected) == (0, {"duplicate": 4})
    assert (COLLECTION / "manifest.csv").read_bytes() == text
    assert sorted(p for p in (COLLECTION / "pictures").rglob("*") if p.is_file()) == files


def test_duplicates_are_found_however_they_are_encoded(project: Path) -> None:
    first = pd.read_csv(DATASET / "manifest.csv").iloc[0]
    there = Image.open(DATASET / first["path"]).convert("RGB")
    place = project / "new" / "some_other_name"
    place.mkdir(parents=True)
    (place / "a.webp").write_bytes(png(there, "WEBP", lossless=1))
    (place / "b.tiff").write_bytes(png(there, "TIFF"))
    new = photo()
    (place / "c.png").write_bytes(png(new))
    (place / "d.bmp").write_bytes(png(new, "BMP"))
    outcome = take(project / "new")
    assert (outcome.added, outcome.rejected) == (1, {"duplicate": 3})
    table = reasons(outcome)
    assert first["category"] in table["reason"][0]  # a picture of another category, by name
    assert (table["copy"] == "").all()


def test_near_duplicates_are_found_and_other_pictures_are_not(project: Path) -> None:
    """Altered copies of pictures that are there, and as many new ones of the same categories."""
    present = pd.read_csv(DATASET / "manifest.csv").iloc[::2]
    changes: list[Callable[[Image.Image], bytes]] = [
        lambda i: png(i, "JPEG", quality=90),
        lambda i: png(i, "JPEG", quality=75),
        lambda i: png(i.resize((64, 64), Image.Resampling.BICUBIC)),
        lambda i: png(i.resize((48, 48), Image.Resampling.BILINEAR)),
    ]
    count = 0
    for n, row in enumerate(present.to_dict("records")):
        image = Image.open(DATASET / row["path"]).convert("RGB")
        place = project / "near" / row["category"]
        place.mkdir(parents=True, exist_ok=True)
        for k, change in enumerate(changes):
            (place / f"{n}-{k}").write_bytes(change(image))
            count += 1
    near = take(project / "near")
    assert near.rejected["near-duplicate"] >= 0.95 * count
    assert near.added <= 0.05 * count
    fresh = take(tree(project / "fresh", dict.fromkeys(toy.NAMES, 20)))
    assert fresh.added >= 0.99 * fresh.files


def products(root: Path, count: int) -> Path:
    """Shirts of one cut on a white ground."""
    place = root / "shirt"
    place.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        KINDS["garments on white"](rng).save(place / f"{i}.png")
    return root


def test_products_on_a_white_ground_are_different_pictures(project: Path) -> None:
    assert take(products(project / "new", 40)).added >= 39


def test_a_person_can_keep_what_is_taken_for_a_copy(project: Path) -> None:
    take(products(project / "new", 2))
    for path in (project / "new" / "shirt").iterdir():
        Image.open(path).convert("RGB").resize((200, 200)).save(path)
    (project / "new" / "shirt" / "text.png").write_text("no picture")
    refused = take(project / "new")
    assert refused.rejected == {"near-duplicate": 2, "not decoded": 1}
    for row in reasons(refused).to_dict("records"):
        if row["kind"] == "near-duplicate":
            assert Path(row["file"]).is_file() and str(COLLECTION) in row["reason"]
    again = f"eidolon ingest {refused.quarantine}/reasons.csv --keep-near"
    assert again in refused.sentence()
    assert refused.quarantine is not None
    listed = refused.quarantine / "reasons.csv"
    assert take(listed).rejected == {"near-duplicate": 2, "not decoded": 1}
    kept = ingest(listed, config.load().ingest, keep_near=True)
    assert (kept.files, kept.added, kept.rejected) == (3, 2, {"not decoded": 1})
    assert catalog.read()["category"].tolist() == ["shirt"] * 4


def test_the_command_adds_near_duplicates_when_asked(project: Path) -> None:
    take(products(project / "new", 1))
    (path,) = (project / "new" / "shirt").iterdir()
    Image.open(path).convert("RGB").resize((200, 200)).save(path)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True)
    ingest_them = [sys.executable, "-m", "components.cli", "ingest", str(project / "new")]
    env = {**os.environ, "PYTHONPATH": str(toy.ROOT)}
    for option, added in (([], 1), (["--keep-near"], 2)):
        done = subprocess.run([*ingest_them, *option], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert len(catalog.read()) == added


def test_damaged_reasons_are_told(project: Path) -> None:
    (project / "reasons.csv").write_bytes(",".join(REASONS).encode() + b'\na,b,c,d,"e')
    with pytest.raises(EidolonError, match=r"reasons\.csv is damaged"):
        take(project / "reasons.csv")


def bomb_png(side: int) -> bytes:
    """A valid PNG of ``side`` x ``side`` gray pixels, a few KiB long for each thousand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + side // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty.png": ("not decoded", lambda: b""),
    "text.png": ("not decoded", lambda: b"path,category\n" * 50),
    "svg.png": ("not decoded", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "truncated.png": ("not decoded", lambda: png(photo())[:-300]),
    "no-end.png": ("not decoded", lambda: png(photo())[:-12]),
    "flipped.png": ("not decoded", lambda: png(photo())[:200] + b"xyz" + png(photo())[203:]),
    "truncated.jpg": ("not decoded", lambda: png(photo(), "JPEG")[:-200]),
    "no-end.jpg": ("not decoded", lambda: png(photo(), "JPEG")[:-2]),
    "truncated.webp": ("not decoded", lambda: png(photo(), "WEBP")[:-100]),
    "truncated.bmp": ("not decoded", lambda: png(photo(), "BMP")[:-100]),
    "bomb.png": ("too many pixels", lambda: bomb_png(12_000)),
    "16-bit.png": ("not decoded", lambda: png(Image.new("I;16", (32, 32), 9000))),
    "float.tiff": ("not decoded", lambda: png(Image.new("F", (32, 32), 0.5), "TIFF")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_put_aside_with_a_reason(project: Path, name: str) -> None:
    kind, content = BAD[name]
    place = tree(project / "new", {NEW: 2}) / NEW.replace(" ", "_")
    (place / name).write_bytes(content())
    outcome = take(project / "new")
    assert (outcome.added, outcome.rejected) == (2, {kind: 1})
    (row,) = reasons(outcome).to_dict("records")
    assert row["file"].endswith(name) and row["kind"] == kind
    assert row["reason"] and "object at" not in row["reason"]
    assert outcome.quarantine is not None
    assert (outcome.quarantine / row["copy"]).read_bytes() == content()


def test_the_format_is_told_by_content_not_by_name(project: Path) -> None:
    place = project / "new" / NEW
    place.mkdir(parents=True)
    (place / "picture.txt").write_bytes(png(photo(), "JPEG"))
    assert take(project / "new").added == 1
    assert catalog.read()["path"][0].endswith(".jpeg")


def test_a_picture_is_turned_as_its_exif_says(project: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned clockwise
    place = project / "new" / NEW
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(png(photo()))
    (place / "b.png").write_bytes(
        png(photo().transpose(Image.Transpose.ROTATE_90), exif=turned)  # type: ignore[arg-type]
    )
    assert take(project / "new").rejected == {"duplicate": 1}


@pytest.mark.parametrize("source", ["collection", "collection/pictures/mine", "."])
def test_what_lies_in_the_collection_is_never_lost(project: Path, source: str) -> None:
    place = COLLECTION / "pictures" / "mine"
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(png(photo()))
    with pytest.raises(EidolonError, match="is or holds the collection itself"):
        take(Path(source))
    assert (place / "a.png").is_file()
    take(tree(project / "new", {KNOWN: 1}))
    (kept,) = QUARANTINE.glob("*/*a.png")
    assert kept.read_bytes() == png(photo()) and not (place / "a.png").exists()
    (row,) = pd.read_csv(kept.parent / "reasons.csv").to_dict("records")
    assert (row["kind"], row["copy"]) == ("stray", kept.name)


def test_what_a_list_names_elsewhere_is_copied_only_if_it_is_a_picture(project: Path) -> None:
    """The list may be a stranger's, who wants a copy of any file: given by hand it may name it, but
    the quarantine keeps none."""
    (project / "key").write_text("secret")
    tree(project / "elsewhere", {NEW: 1})
    (project / "list" / "a").mkdir(parents=True)
    (project / "list" / "a" / "bad.png").write_text("mine")
    (project / "list" / "a" / "linked").symlink_to(project)
    named = ["/dev/zero", "/proc/self/environ", ".", f"{project}/key", "../key", "a/linked/key"]
    lines = [*named, "a/bad.png", "../elsewhere/orange_plain_cross/0.png"]
    (project / "list" / "list.csv").write_text("".join(f"{line},z\n" for line in lines))
    outcome = take(project / "list" / "list.csv")
    assert (outcome.added, outcome.rejected) == (1, {"missing": 2, "not decoded": 5})
    table = reasons(outcome)
    assert table.loc[table["copy"] != "", "file"].tolist() == [f"{project}/list/a/bad.png"]
    near = project / "elsewhere" / "near.png"
    photo(NEW).resize((64, 64)).save(near)
    (project / "list" / "list.csv").write_text(f"{near}\n")
    (row,) = reasons(take(project / "list" / "list.csv")).to_dict("records")
    assert row["kind"] == "near-duplicate" and row["copy"]


def test_nothing_outside_the_inbox_is_read_for_it(project: Path) -> None:
    """Whoever may write there, by a share or a web form, may not read this machine's files."""
    secret = tree(project / "elsewhere", {NEW: 2})
    picture = secret / "orange_plain_cross" / "0.png"
    place = tree(INBOX / "batch", {KNOWN: 1})
    (place / "linked").symlink_to(secret)
    os.mkfifo(place / "pipe")
    real = INBOX.resolve()
    lines = [str(picture), "/proc/self/environ", "../elsewhere/orange_plain_cross/0.png"]
    lines += ["batch/linked/orange_plain_cross/0.png", f"{real}/../params.yaml", "~/.bashrc"]
    lines += ["batch/pipe", f"{real}/batch/red_plain_star/0.png"]
    (INBOX / "a.csv").write_text("".join(f"{line},{KNOWN}\n" for line in lines))
    (INBOX / "b").symlink_to(secret)
    (INBOX / "c.csv").symlink_to(project / "params.yaml")
    quiet(project, 0)
    said: list[str] = []
    assert steps.collect(None, said.append) == {"unannounced": 1}
    assert catalog.read()["category"].tolist() == [KNOWN]
    assert "1 of 8 files added; refused: 1 missing, 6 outside" in "".join(said)
    assert sum("leads out of" in line for line in said) == 2
    kept = [p for p in QUARANTINE.rglob("*") if p.is_file() and not p.is_symlink()]
    assert {p.name for p in kept} == {"reasons.csv"}
    assert picture.is_file()


def test_a_folder_that_turns_into_a_link_is_not_followed(project: Path) -> None:
    """Between finding a file and reading it: what is checked is what is opened."""
    secret = tree(project / "elsewhere", {NEW: 1})
    for exchanged in ("batch", "batch/orange_plain_cross", "batch/orange_plain_cross/0.png"):
        path = tree(project / "inbox" / "batch", {NEW: 1}) / "orange_plain_cross" / "0.png"
        with open_regular(path, project / "inbox") as file:
            assert file.read() == path.read_bytes()
        old, target = project / "inbox" / exchanged, secret / "orange_plain_cross" / "0.png"
        old.rename(project / "gone")
        old.symlink_to(secret if exchanged == "batch" else target if path == old else target.parent)
        assert path.read_bytes() == target.read_bytes()
        with pytest.raises(Unreadable, match=r"is a link to .* `cp -rL SOURCE COPY`"):
            open_regular(path, project / "inbox")
        subprocess.run(["rm", "-r", str(project / "gone"), str(project / "inbox")], check=True)
    for path in (secret / "x", project / "inbox" / ".." / "elsewhere" / "x"):
        with pytest.raises(Unreadable, match="lies outside"):
            open_regular(path, project / "inbox")


def test_airflow_s_users_name_sources_in_the_inbox(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tree(project / "elsewhere", {NEW: 1})
    (INBOX / "batch").mkdir(parents=True)
    (INBOX / "batch" / "0.png").write_bytes(png(photo(KNOWN)))
    for refused in (str(source), "inbox/../elsewhere", "~", "/nothing"):
        with pytest.raises(EidolonError, match=r"neither in inbox/ nor .* EIDOLON_SOURCES"):
            steps.collect(refused, print)
    assert steps.collect("inbox/batch", print) == {"unannounced": 1}
    monkeypatch.setenv("EIDOLON_SOURCES", f"{project}/none:{source.parent}/elsewhere")
    assert steps.collect(str(source), print) == {"unannounced": 2}
    (source / "list.csv").write_text("../params.yaml,x\n")
    said: list[str] = []
    steps.collect(str(source / "list.csv"), said.append)
    assert "1 outside" in said[-1]


def test_a_full_disk_leaves_nothing_behind(project: Path) -> None:
    """A file may have no more than 4 KB here: the second picture does not fit. Nor would the
    bytecode of what is imported: `-B` keeps Python from leaving half of it in this checkout."""
    place = tree(project / "new", {NEW: 1}) / NEW.replace(" ", "_")
    Image.effect_noise((99, 99), 50).save(place / "large.png")
    command = [sys.executable, "-B", "-c", _LIMIT + _INGEST, str(project / "new")]
    done = subprocess.run(
        command,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(toy.ROOT),
        },
        capture_output=True,
        text=True,
    )
    assert "File too large" in done.stderr, done.stderr
    assert not [path for path in COLLECTION.rglob("*") if path.is_file()]


def test_links_and_junk_are_not_followed(project: Path) -> None:
    source = tree(project / "new", {NEW: 1})
    secret = tree(project / "elsewhere", {"teal plain heart": 1})
    (source / "linked").symlink_to(secret / "teal_plain_heart")
    (source / NEW.replace(" ", "_") / "link.png").symlink_to(secret / "teal_plain_heart" / "0.png")
    (source / "__MACOSX").mkdir()
    (source / "__MACOSX" / "a.png").write_bytes(b"junk")
    (source / ".hidden.png").write_bytes(b"junk")
    outcome = take(source)
    assert (outcome.files, outcome.added, outcome.rejected) == (3, 1, {"link": 2})


def test_odd_names_are_no_obstacle(project: Path) -> None:
    place = project / "new" / NEW
    place.mkdir(parents=True)
    (place / os.fsdecode(b"caf\xe9.png")).write_bytes(b"not a picture")
    (place / "two\nlines.png").write_bytes(png(photo()))
    outcome = take(project / "new")
    assert (outcome.added, outcome.rejected) == (1, {"not decoded": 1})
    assert "caf\\udce9" in reasons(outcome)["file"][0]
    with zipfile.ZipFile(project / "new.zip", "w") as packed:
        packed.writestr("at 10:30/Icon\r", png(photo(NEW, 1)))
    assert take(project / "new.zip").new_categories == ["at 10:30"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("red_plain_star", "red plain star"),
        ("  Grey\tBird ", "Grey Bird"),
        ("../../etc", "etc"),
        ("ﬁre\u202e​", "fire"),
        ("a/b\\c", "a b c"),
        ("..", ""),
    ],
)
def test_a_categorys_name_is_cleaned(given: str, stored: str) -> None:
    assert clean(given) == stored


def test_a_name_that_is_none_is_refused_and_a_known_one_is_recognised(project: Path) -> None:
    for i in range(3):
        photo(KNOWN, i).save(project / f"{i}.png")
    rows = ["path,category", "0.png,...", f"1.png,{'x' * 101}", "2.png,Red__Plain STAR"]
    (project / "list.csv").write_text("\n".join(rows))
    outcome = take(project / "list.csv")
    assert (outcome.added, outcome.rejected) == (1, {"no category": 2})
    assert catalog.read()["category"].tolist() == [KNOWN]


def test_a_list_names_files_and_categories(project: Path) -> None:
    source = tree(project / "new", {NEW: 3})
    place = source / NEW.replace(" ", "_")
    lines = [f"{place / '0.png'},{KNOWN}", f"new/{place.name}/1.png", "new/gone.png,x"]
    (project / "list.txt").write_text("\n".join(lines))
    outcome = take(project / "list.txt")
    assert (outcome.added, outcome.rejected) == (2, {"missing": 1})
    assert catalog.read()["category"].tolist() == [KNOWN, NEW]
    for line in ("a,b,c", "a\0,b"):
        (project / "list.csv").write_text(f"{line}\n")
        with pytest.raises(EidolonError, match="is not PATH or PATH,CATEGORY"):
            take(project / "list.csv")
    given = f"Path, Category\n\n  \n# three, in, all\n{place / '2.png'},{NEW}\n"
    (project / "my_list_v2.csv").write_text(given)
    assert take(project / "my_list_v2.csv").files == 1
    assert catalog.read()["source"].tolist() == ["list.txt", "list.txt", "my_list_v2.csv"]
    (project / "list.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(EidolonError, match="is no list of files"):
        take(project / "list.csv")


def test_a_list_s_errors_name_the_line(project: Path) -> None:
    tree(project / "new", {NEW: 1})
    good = "path,category\n# a comment\n\nnew/orange_plain_cross/0.png,x\n"
    for bad, sentence in {
        b"a,b,c\n": r"line 5: 'a,b,c' is not PATH or PATH,CATEGORY",
        b'"a\n,b\n': "line 5: unexpected end of data",
        b"b\xe4r.png,x\n": "line 5 is not UTF-8",
        b"C:\\photos\\0.png\n": r"line 5: 'C:.* is on a drive of Windows: give paths relative",
    }.items():
        (project / "list.csv").write_bytes(good.encode() + bad + b"later.png\n")
        with pytest.raises(EidolonError, match=sentence):
            take(project / "list.csv")
    (project / "list.csv").write_text(good + "gone.png\n")
    outcome = take(project / "list.csv")
    assert (outcome.added, outcome.rejected) == (1, {"missing": 1})
    assert reasons(outcome)["reason"][0].endswith("(line 5 of the list)")


def test_a_list_s_paths_may_be_written_as_people_write_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tree(project / "new", {NEW: 6}) / "orange_plain_cross"
    monkeypatch.setenv("HOME", str(project / "new"))
    odd = [" spaced .png", "back\\slash.png"]
    for i, name in enumerate(odd):
        (place / f"{i}.png").rename(place / name)
    lines = [f'"new/orange_plain_cross/{odd[0]}"', f"new/orange_plain_cross/{odd[1]}"]
    lines += ["new\\orange_plain_cross\\2.png", ".\\new\\orange_plain_cross\\3.png, a"]
    lines += [" new/orange_plain_cross/4.png ", "~/orange_plain_cross/5.png"]
    (project / "list.csv").write_text("\r\n".join(lines))
    outcome = take(project / "list.csv")
    assert (outcome.added, outcome.rejected) == (6, {})
    assert catalog.read()["category"].tolist() == [NEW, NEW, NEW, "a", NEW, NEW]


def test_a_linked_tree_gets_the_command_that_helps(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tree(project / "real", {NEW: 2})
    (project / "new").mkdir()
    (project / "new" / "linked").symlink_to(real / "orange_plain_cross")
    (project / "new" / "dangling.png").symlink_to("gone.png")
    outcome = take(project / "new")
    assert outcome.rejected == {"link": 2} and "`cp -rL SOURCE COPY`" in outcome.sentence()
    said = dict(zip(reasons(outcome)["file"], reasons(outcome)["reason"], strict=True))
    assert (
        "is a link to gone.png, which does not exist: remove it"
        in said[str(project / "new" / "dangling.png")]
    )
    assert "`cp -rL SOURCE COPY`" in said[str(project / "new" / "linked")]
    (project / "new" / "dangling.png").unlink()
    subprocess.run(["cp", "-rL", "new", "copy"], check=True)
    monkeypatch.setenv("HOME", str(project))
    assert take(Path("~/copy")).added == 2
    subprocess.run(["cp", "-al", "copy", "real/again"], check=True)
    subprocess.run(["cp", "-al", "copy", "real/once_more"], check=True)
    subprocess.run(["tar", "-cf", "hard.tar", "-C", str(real), "."], check=True)
    with pytest.raises(EidolonError, match=r"is a link or a device: .*`cp -rL FOLDER COPY`"):
        take(project / "hard.tar")


@pytest.mark.parametrize("name", ["new.zip", "new.tar", "new.tar.gz", "new.tar.xz", "no-suffix"])
def test_an_archive_is_as_good_as_its_folder(project: Path, name: str) -> None:
    source = tree(project / "new", {NEW: 3, KNOWN: 2})
    (source / "loose.png").write_bytes(png(photo(NEW, 50)))
    path = project / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in source.rglob("*"):
                packed.write(file, Path("wrapped") / file.relative_to(source))
    else:
        mode = {".gz": "w:gz", ".xz": "w:xz"}.get(path.suffix, "w")
        with tarfile.open(path, mode) as packed_tar:  # type: ignore[call-overload]
            packed_tar.add(source, "wrapped")
    outcome = take(path)
    assert (outcome.files, outcome.added) == (6, 6)
    names = {NEW: 3, KNOWN: 2, "wrapped": 1}
    assert catalog.read()["category"].value_counts().to_dict() == names
    assert not list(HOME.glob("unpacked-*"))


@pytest.mark.parametrize("kind", ["gnu", "v7", "ustar", "posix"])
def test_archives_of_a_folder_as_tar_makes_them(project: Path, kind: str) -> None:
    source = tree(project / "new", {NEW: 2})
    (source / "a:b").mkdir()
    (source / "a:b" / "bad.png").write_bytes(b"none")
    path = project / "dots.tar"
    tar = ["tar", f"--format={kind}", "-cf", str(path), "-C", str(source)]
    subprocess.run([*tar, "."], check=True)
    outcome = take(path)
    assert (outcome.files, outcome.added) == (3, 2)
    assert reasons(outcome)["file"].tolist() == [str(path / "a:b" / "bad.png")]
    subprocess.run([*tar, "-T", "/dev/null"], check=True)
    assert take(path).files == 0


def test_a_file_at_an_archives_root_has_no_category(project: Path) -> None:
    with zipfile.ZipFile(project / "new.zip", "w") as packed:
        packed.writestr("loose.png", png(photo()))
        packed.writestr("a:b/", b"")
    outcome = take(project / "new.zip")
    assert (outcome.added, outcome.rejected) == (0, {"no category": 1})


def zipped(path: Path, name: str, content: bytes = b"x", mode: int = 0) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("good/0.png", png(photo()))
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        packed.writestr(info, content)


def tarred(path: Path, name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
    with tarfile.open(path, "w:gz") as packed:
        good = tarfile.TarInfo("good/0.png")
        good.size = len(png(photo()))
        packed.addfile(good, io.BytesIO(png(photo())))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        packed.addfile(info)


def two(path: Path) -> None:
    with tarfile.open(path, "w") as packed:
        for content in (b"one", b"other"):
            info = tarfile.TarInfo("a/0.png")
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))


def many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for i in range(51):
            packed.writestr(f"a/{i}.png", b"")


def long_header(path: Path) -> None:
    """A tar whose extended header alone would take 40 MB of memory."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as packed:
        info = tarfile.TarInfo("a/0.png")
        info.pax_headers = {"comment": "x" * 40_000_000}
        packed.addfile(info)


def lying(path: Path) -> None:
    """A zip whose directory says that its 3 MB are 10 bytes."""
    zipped(path, "a/0.png", b"\0" * 3_000_000)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 3_000_000), struct.pack("<I", 10)))


def locked(path: Path) -> None:
    zipped(path, "a/0.png")
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.rindex(magic) + at] |= 1  # "encrypted"
    path.write_bytes(data)


class Unflagged(zipfile.ZipInfo):
    """A member whose name is written as it is, without saying in which encoding."""

    def __init__(self, raw: bytes, extra: bytes = b"") -> None:
        super().__init__("x")
        self.filename, self.raw, self.extra = raw.decode("latin-1"), raw, extra

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's name
        return self.raw, self.flag_bits & ~0x800


def unicode_path(raw: bytes, name: str) -> bytes:
    """Info-ZIP's Unicode Path field, for a member called ``raw``."""
    content = struct.pack("<BL", 1, zlib.crc32(raw)) + name.encode()
    return struct.pack("<HH", 0x7075, len(content)) + content


@pytest.mark.parametrize(
    ("info", "category"),
    [
        (Unflagged("Früchte/1.png".encode()), "Früchte"),  # a Mac's Finder
        (Unflagged(unicodedata.normalize("NFD", "Früchte/1.png").encode()), "Früchte"),
        (Unflagged("果物/ü.png".encode()), "果物"),
        (zipfile.ZipInfo("Früchte/1.png"), "Früchte"),  # Python, 7-Zip: it says UTF-8
        (
            Unflagged(b"Fr\x81chte/1.png", unicode_path(b"Fr\x81chte/1.png", "Früchte/1.png")),
            "Früchte",
        ),
        (Unflagged(b"fruit/Fr\x81chte.png"), "fruit"),  # a file's name names no category
    ],
)
def test_a_zip_gives_the_names_that_were_put_in(
    project: Path, info: zipfile.ZipInfo, category: str
) -> None:
    with zipfile.ZipFile(project / "new.zip", "w") as packed:
        packed.writestr(info, png(photo()))
    assert take(project / "new.zip").new_categories == [category]


@pytest.mark.parametrize(
    "info",
    [
        Unflagged("Früchte/1.png".encode("cp850")),  # a German Windows
        Unflagged("果物/1.png".encode("shift_jis")),
        Unflagged(b"Fr\x81chte/1.png", unicode_path(b"another name", "Früchte/1.png")),
    ],
)
def test_a_name_in_an_unknown_encoding_is_not_guessed(project: Path, info: Unflagged) -> None:
    with zipfile.ZipFile(project / "new.zip", "w") as packed:
        packed.writestr(info, png(photo()))
    with pytest.raises(EidolonError, match=r"is not UTF-8, .*`unzip -O cp850`") as error:
        take(project / "new.zip")
    assert repr(info.raw.rpartition(b"/")[0]) in str(error.value)
    with tarfile.open(project / "new.tar", "w", format=tarfile.GNU_FORMAT) as packed_tar:
        member = tarfile.TarInfo(os.fsdecode(info.raw))
        member.size = len(png(photo()))
        packed_tar.addfile(member, io.BytesIO(png(photo())))
    with pytest.raises(EidolonError, match="is not UTF-8"):
        take(project / "new.tar")
    place = project / "new" / os.fsdecode(info.raw.rpartition(b"/")[0])
    place.mkdir(parents=True)
    photo().save(place / "0.png")
    outcome = take(project / "new")
    assert outcome.rejected == {"no category": 1}
    assert "is not UTF-8: rename the folder" in reasons(outcome)["reason"][0]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_that_was_cut_is_called_so(project: Path, kind: str) -> None:
    source = tree(project / "new", {NEW: 4})
    made_by = {"tar.gz": "gztar", "tar.bz2": "bztar", "tar.xz": "xztar"}.get(kind, kind)
    name = shutil.make_archive(str(project / "all"), made_by, source)
    whole = Path(name).read_bytes()
    ends = len(whole) if kind != "tar" else whole.rindex(png(photo(NEW, 3))[-9:]) + 512
    cut = Path(name)
    for share in (0.2, 0.5, 0.8, 1 - 40 / ends):
        cut.write_bytes(whole[: int(share * ends)])
        with pytest.raises(EidolonError, match=r"was cut \(.*\): copy or download it again"):
            take(cut)
    if kind == "tar":  # between two members, where tar itself would not notice
        header = whole.index(b"ustar") - 257
        second = whole.index(b"ustar", header + 600) - 257
        third = whole.index(b"ustar", second + 600) - 257
        for end in (third, third + 100):
            cut.write_bytes(whole[:end])
            with pytest.raises(EidolonError, match="was cut"):
                take(cut)
        damaged = bytearray(whole)
        damaged[third + 10] ^= 1
        cut.write_bytes(damaged)
        with pytest.raises(EidolonError, match="a header is damaged"):
            take(cut)
    cut.write_bytes(whole)
    assert take(cut).added == 4


UNSAFE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "zip parent": ("leads outside", lambda p: zipped(p, "a/../../evil.png")),
    "zip absolute": ("leads outside", lambda p: zipped(p, "/tmp/evil.png")),
    "zip windows": ("leads outside", lambda p: zipped(p, "..\\evil.png")),
    "zip drive": ("leads outside", lambda p: zipped(p, "C:/evil.png")),
    "zip link": ("link or a device", lambda p: zipped(p, "a/l", b"/etc", stat.S_IFLNK | 0o777)),
    "zip bomb": ("unpacks to more than", lambda p: zipped(p, "a/0.png", b"\0" * 5_000_000)),
    "zip lies": ("cannot be unpacked|other sizes", lying),
    "zip locked": ("cannot be unpacked", locked),
    "zip many": ("more than 50 files", many),
    "tar parent": ("leads outside", lambda p: tarred(p, "../evil.png")),
    "tar absolute": ("leads outside", lambda p: tarred(p, "/tmp/evil.png")),
    "tar link": ("link or a device", lambda p: tarred(p, "a/l", tarfile.SYMTYPE, "/etc/passwd")),
    "tar hard link": (
        "link or a device",
        lambda p: tarred(p, "a/l", tarfile.LNKTYPE, "good/0.png"),
    ),
    "tar device": ("link or a device", lambda p: tarred(p, "a/l", tarfile.CHRTYPE)),
    "tar fifo": ("link or a device", lambda p: tarred(p, "a/l", tarfile.FIFOTYPE)),
    "tar twice": ("a name comes twice", two),
    "tar header": ("header is too long", long_header),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_an_unsafe_archive_is_refused_as_a_whole(project: Path, what: str) -> None:
    sentence, make = UNSAFE[what]
    make(project / "archive")
    outside = {p for p in project.rglob("*") if COLLECTION.name not in p.parts}
    with pytest.raises(EidolonError, match=sentence):
        take(project / "archive", max_files=50)
    assert not (COLLECTION / "manifest.csv").exists()
    left = {p for p in project.rglob("*") if p.is_file()} - outside
    assert {p.name for p in left} <= {"ingest.lock"}


def test_a_tar_bomb_is_stopped_by_its_header(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bomb", "w:gz") as packed:
        info = tarfile.TarInfo("a/0.png")
        info.size = 30_000_000
        packed.addfile(info, io.BytesIO(b"\0" * info.size))
    (tmp_path / "out").mkdir()
    caps = archives.Caps(9, 10**9, 200)
    refused = pytest.raises(EidolonError, match="unpacks to more than")
    with (tmp_path / "bomb").open("rb") as raw, refused:
        archives.extract(tmp_path / "bomb", raw, tmp_path / "out", caps)
    assert not list((tmp_path / "out").rglob("*.png"))


def test_a_truncated_archive_and_a_source_that_is_none_are_named(project: Path) -> None:
    tarred(project / "a.tar.gz", "a/0.png")
    whole = (project / "a.tar.gz").read_bytes()
    (project / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EidolonError, match=r"a\.tar\.gz was cut .*: copy or download it again"):
        take(project / "a.tar.gz")
    (project / "dangling").symlink_to("gone")
    for name, sentence in {
        "nothing": r"/nothing does not exist: name a folder",
        "params.yaml/x": "params.yaml/x does not exist",
        "dangling": r"/dangling is a link to gone, which does not exist",
        "params.yaml": "is neither a folder nor a zip or tar archive",
    }.items():
        with pytest.raises(EidolonError, match=sentence):
            take(project / name)
    with pytest.raises(EidolonError, match="has more than 2 files"):
        take(tree(project / "new", {NEW: 3}), max_files=2)
    with pytest.raises(EidolonError, match="or 100 bytes"):
        take(project / "new", max_bytes=100)


_LIMIT = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
"""

_INGEST = """
import sys
from pathlib import Path
from components import config
from components.collection.ingest import ingest
ingest(Path(sys.argv[1]), config.load().ingest)
"""

_KILLED = """
import sys
from pathlib import Path
from components import config
from components.collection.ingest import ingest
from tests.kills import Changes
source, last = sys.argv[1:]
changes = Changes(Path(), int(last))
ingest(Path(source), config.load().ingest)
print(changes.seen)
"""


def test_a_kill_at_any_moment_leaves_a_valid_collection(project: Path) -> None:
    """Killed at 20 random moments, each time resumed in the end: as if never interrupted.

    A moment is a number of files changed, from none to all.
    """
    source = tree(project / "new", {NEW: 40, KNOWN: 40, "pink plain ring": 40})

    def run(last: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _KILLED, str(source), str(last)]
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(toy.ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=env, capture_output=True, text=True)

    whole = run(0)
    assert whole.returncode == 0, whole.stderr
    moments, rng = int(whole.stdout.split()[-1]), random.Random(0)
    expected = catalog.read()
    assert len(expected) == 120 and moments > 120
    for round_ in range(20):
        (HOME / "unpacked-killed").mkdir(parents=True, exist_ok=True)
        if round_ % 4 == 0:  # anew: some rounds start from nothing, some from what a kill left
            for left in (COLLECTION, HOME, OUTBOX.parent):
                shutil.rmtree(left, ignore_errors=True)
            assert run(rng.randint(1, moments)).returncode == -signal.SIGKILL
        else:
            run(rng.randint(1, moments))  # there may be less to do than that
        rows = catalog.read()
        assert len(rows) in (0, 120)  # the old manifest or the new one
        assert len(catalog.files()) == len(rows)
        assert set(rows["path"]) <= set(catalog.unannounced())
    take(source)
    assert not list(HOME.glob("unpacked-*"))
    pd.testing.assert_frame_equal(catalog.read(), expected)
    assert catalog.unannounced() == expected["path"].tolist()
    assert {p for p in (COLLECTION / "pictures").rglob("*") if p.is_file()} == set(catalog.files())


def test_what_is_announced_leaves_the_outbox(project: Path) -> None:
    take(tree(project / "one", {NEW: 3}))
    first = catalog.unannounced()
    take(tree(project / "two", {KNOWN: 2}))
    for _ in range(2):  # saying so twice does no harm
        catalog.announced(first[-1])
        assert catalog.unannounced() == catalog.read()["path"].tolist()[3:]
    catalog.announced(catalog.unannounced()[-1])
    assert catalog.unannounced() == []


def quiet(project: Path, seconds: float) -> None:
    """Have the inbox's entries taken after so many seconds without a change."""
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["ingest"]["settled_seconds"] = seconds
    (project / "params.yaml").write_text(yaml.safe_dump(values))


def test_the_inbox_is_taken_once_settled_and_one_bad_entry_blocks_nothing(project: Path) -> None:
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)  # there is no inbox
    tree(INBOX / "batch", {NEW: 4})
    zipped(INBOX / "unsafe.zip", "../evil.png")
    (INBOX / "notes.doc").write_text("nothing")
    quiet(project, 3600)
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)
    quiet(project, 0)
    lines: list[str] = []
    assert steps.collect(None, lines.append) == {"unannounced": 4}
    assert sum("is refused" in line for line in lines) == 2
    assert not list(INBOX.iterdir())
    (given,) = INGESTED.glob("*/batch")
    assert len(list(given.rglob("*.png"))) == 4
    refused = {p.parent.name: p.read_text() for p in QUARANTINE.glob("*/reasons.csv")}
    assert len(refused) == 2 and any("leads outside" in text for text in refused.values())

    tree(INBOX / "more", {KNOWN: 2})
    assert steps.collect(None, print) == {"unannounced": 6}
    steps.announced(catalog.unannounced()[-1])
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)


def test_nothing_that_was_given_is_overwritten(project: Path) -> None:
    quiet(project, 0)
    names = ("reasons.csv", "given", "Reasons.CSV", ".".join(["reasons.csv", "csv"]))
    INBOX.mkdir()
    for name in names:
        (INBOX / name).write_bytes(b"\xff no list: " + name.encode())
    with pytest.raises(steps.NothingToDo):
        steps.collect(None, print)
    assert not list(INBOX.iterdir())
    kept = [p for p in QUARANTINE.glob("*/*/*") if p.is_file()]
    assert {p.name: p.read_bytes()[11:].decode() for p in kept} == {name: name for name in names}
    for path in kept:
        with (path.parents[1] / "reasons.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert path.parents[1] / row["copy"] == path


def duplicate(old: Path, place: Path) -> None:
    shutil.copytree(old, place / old.name)


def unpack(old: Path, place: Path) -> None:
    with tarfile.open("old.tar", "w") as archive:
        archive.add(old, old.name)
    with tarfile.open("old.tar") as archive:
        archive.extractall(place, filter="data")


@pytest.mark.parametrize("copy", [duplicate, unpack])
def test_a_copy_with_old_times_is_not_settled(
    copy: Callable[[Path, Path], object], project: Path
) -> None:
    """As `cp -p`, rsync and tar make it."""
    old = tree(project / "old", {NEW: 2})
    for path in (old, *old.rglob("*")):
        os.utime(path, (0, 0))
    INBOX.mkdir()
    copy(old, INBOX)
    assert (INBOX / "old").stat().st_mtime == 0
    assert inbox.settled(3600) == []
    assert [entry.path.name for entry in inbox.settled(0)] == ["old"]
    (future,) = (path for path in (INBOX / "old").rglob("1.png"))
    os.utime(future, (2**32, 2**32))  # a camera whose clock is wrong
    assert [entry.path.name for entry in inbox.settled(0)] == ["old"]


def test_what_is_still_written_while_it_is_taken_stays(project: Path) -> None:
    tree(INBOX / "batch", {NEW: 2})
    (INBOX / "cut.zip").write_bytes(b"PK\x03\x04")
    batch, cut = inbox.settled(0)
    (folder,) = batch.path.iterdir()
    (folder / "late.png").write_bytes(b"late")
    with cut.path.open("ab") as file:
        file.write(b"more")
    assert not inbox.done(batch) and not inbox.refuse(cut, "it is cut")
    assert {path.name for path in INBOX.iterdir()} == {"batch", "cut.zip"}
    assert not INGESTED.exists() and not QUARANTINE.exists()
    again, _ = inbox.settled(0)
    assert inbox.done(again)
    assert len(list(INGESTED.glob("*/batch/*/late.png"))) == 1


def test_files_that_come_and_go_do_not_disturb_the_look(project: Path) -> None:
    """As rsync's temporary ones, which get their names at the end."""
    code = (
        "import os, sys, itertools\n"
        "for i in itertools.count():\n"
        "    open('.x.png.Ab12Cd', 'w').close(); os.mkdir('.~tmp~')\n"
        "    os.rename('.x.png.Ab12Cd', f'{i}.png'); os.rmdir('.~tmp~')\n"
        "    if i > 199: os.unlink(f'{i - 200}.png')\n"
        "    if i == 300: print('on it', flush=True)\n"
    )
    (INBOX / "batch").mkdir(parents=True)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=INBOX / "batch", stdout=subprocess.PIPE) as copying:
        assert copying.stdout is not None and copying.stdout.readline() == b"on it\n"
        try:
            looks = [inbox.settled(3600) for _ in range(300)]
            for _ in range(100):
                with candidates((INBOX / "batch").resolve(), config.load().ingest, None) as found:
                    assert all(one.path.suffix == ".png" for one in found)
        finally:
            copying.kill()
    assert not any(looks)


@pytest.mark.slow
def test_airflow_is_told_once_and_only_of_what_was_added(tmp_path: Path) -> None:
    """The DAG itself: an asset event for new pictures, none for old ones, one for the command's."""
    clone = Clone(tmp_path / "clone")
    source = tree(tmp_path / "new", {NEW: 4, KNOWN: 1})

    def run(*command: str) -> None:
        done = clone.shell(*command)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def events() -> list[dict[str, object]]:
        with sqlite3.connect(clone.root / ".eidolon" / "airflow" / "airflow.db") as database:
            rows = database.execute("select extra from asset_event order by id").fetchall()
        return [json.loads(extra) for (extra,) in rows]

    def versioned() -> str:
        pointer = yaml.safe_load((clone.root / COLLECTION / "pictures.dvc").read_text())
        return str(pointer["outs"][0]["md5"])

    dag = (sys.executable, "-m", "airflow", "dags", "test", "ingest")
    named = ("-c", json.dumps({"source": str(source)}))
    clone.env["EIDOLON_SOURCES"] = str(tmp_path)
    run(sys.executable, "-m", "airflow", "db", "migrate")
    run(*dag, *named)
    first = {"hash": versioned(), "pictures": 5, "categories": 2, "added": 5}
    assert events() == [first]
    tree(tmp_path / "more", {NEW: 6})
    run("eidolon", "ingest", str(tmp_path / "more"))
    run(*dag)  # the inbox is empty
    assert events() == [first, {"hash": versioned(), "pictures": 7, "categories": 2, "added": 2}]
    run(*dag, *named)  # nothing in it is new
    assert len(events()) == 2
