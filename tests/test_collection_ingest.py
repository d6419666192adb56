"""Ingesting: what joins the collection and the dataset, and what a kill leaves behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
from PIL import Image

from components import config
from components.collection import catalog
from components.datasets.dataset import dataset
from components.images.hashing import image_hashes
from components.paths import (
    COLLECTED,
    COLLECTION,
    DATASET,
    HOME,
    OUTBOX,
    PICTURES,
)
from tests import toy
from tests.ingesting import KNOWN, NEW, photo, png, reasons, take, tree


def test_a_folder_joins_the_collection_and_the_dataset(project: Path) -> None:
    outcome = take(tree(project / "new", {NEW: 5, KNOWN: 3}))
    assert (outcome.files, outcome.added, outcome.rejected) == (8, 8, {})
    assert outcome.new_categories == [NEW]
    rows = catalog.read()
    assert rows["category"].value_counts().to_dict() == {NEW: 5, KNOWN: 3}
    for path, known_by in zip(catalog.files(), rows["pixels"], strict=True):
        assert image_hashes(Image.open(path)).pixels == known_by
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
        assert trains == (0 if of["split"].iloc[0] in ("unseen", "gate") else len(of) // 3)


def test_later_pictures_do_not_move_earlier_ones(project: Path) -> None:
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
    params = config.load().dataset
    for validation, unseen in ((0.15, 0.25), (0.3, 0.1)):
        change = {"validation_share": validation, "unseen_share": unseen}
        chosen = params.model_copy(update=change)
        splits = pd.Series([_split(name, chosen) for name in names])
        shares = splits.value_counts(normalize=True)
        assert abs(shares["validation"] - validation) < 0.03
        assert abs(shares["unseen"] - unseen) < 0.03
    seeded = params.model_copy(update={"seed": params.seed + 1})
    assert [_split(n, seeded) for n in names] != [_split(n, params) for n in names]


def test_a_file_of_too_many_bytes_is_refused(project: Path) -> None:
    taken = take(tree(project / "new", {NEW: 2}), max_file_bytes=100)
    assert taken.rejected == {"too big": 2} and taken.quarantine is not None
    reasons = (taken.quarantine / "reasons.csv").read_text()
    assert "has more than 100 bytes: shrink it, or raise ingest.max_file_bytes" in reasons


def test_nothing_is_added_twice(project: Path) -> None:
    source = tree(project / "new", {NEW: 4})
    assert take(source).added == 4
    text, files = COLLECTED.read_bytes(), {*catalog.files(), COLLECTED}
    again = take(source)
    assert (again.added, again.rejected) == (0, {"duplicate": 4})
    assert COLLECTED.read_bytes() == text
    assert {p for p in PICTURES.rglob("*") if p.is_file()} == files


def test_the_format_follows_from_the_content_not_the_name(project: Path) -> None:
    place = project / "new" / NEW
    place.mkdir(parents=True)
    (place / "picture.txt").write_bytes(png(photo(), "JPEG"))
    assert take(project / "new").added == 1
    assert catalog.read()["path"][0].endswith(".jpeg")


def test_a_picture_is_rotated_as_its_exif_says(project: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned clockwise
    place = project / "new" / NEW
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(png(photo()))
    (place / "b.png").write_bytes(
        png(photo().transpose(Image.Transpose.ROTATE_90), exif=turned)  # type: ignore[arg-type]
    )
    assert take(project / "new").rejected == {"duplicate": 1}


def test_a_full_disk_leaves_nothing_behind(project: Path) -> None:
    """No file may be larger than 4 KB here, so the second picture does not fit. The bytecode of
    imported modules would not fit either: `-B` keeps Python from leaving half of it in this
    checkout."""
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


def test_an_unusable_name_is_refused_and_a_known_one_is_recognised(project: Path) -> None:
    for i in range(3):
        photo(KNOWN, i).save(project / f"{i}.png")
    rows = ["path,category", "0.png,...", f"1.png,{'x' * 101}", "2.png,Red__Plain STAR"]
    (project / "list.csv").write_text("\n".join(rows))
    outcome = take(project / "list.csv")
    assert (outcome.added, outcome.rejected) == (1, {"no category": 2})
    assert catalog.read()["category"].tolist() == [KNOWN]


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
    """Kill at 20 random moments and resume: the end is as if nothing had been interrupted.

    A moment is a number of changed files, from none to all.
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
        if round_ % 4 == 0:  # some rounds start from nothing, the others from what a kill left
            for left in (COLLECTION, HOME, OUTBOX.parent):
                shutil.rmtree(left, ignore_errors=True)
            assert run(rng.randint(1, moments)).returncode == -signal.SIGKILL
        else:
            run(rng.randint(1, moments))  # which may be more changes than are left to make
        rows = catalog.read()
        assert len(rows) in (0, 120)  # the old manifest or the new one
        assert len(catalog.files()) == len(rows)
        assert set(rows["path"]) <= set(catalog.unannounced())
    take(source)
    assert not list(HOME.glob("unpacked-*"))
    pd.testing.assert_frame_equal(catalog.read(), expected)
    assert catalog.unannounced() == expected["path"].tolist()
    assert {p for p in PICTURES.rglob("*") if p.is_file()} == {*catalog.files(), COLLECTED}


def test_announced_pictures_leave_the_outbox(project: Path) -> None:
    take(tree(project / "one", {NEW: 3}))
    first = catalog.unannounced()
    take(tree(project / "two", {KNOWN: 2}))
    for _ in range(2):  # announcing twice does no harm
        catalog.mark_announced(first[-1])
        assert catalog.unannounced() == catalog.read()["path"].tolist()[3:]
    catalog.mark_announced(catalog.unannounced()[-1])
    assert catalog.unannounced() == []
