"""Pictures that are already there: copies are found, and a person may keep them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.lookalikes import KINDS
from components import config
from components.collection import catalog
from components.collection.ingest import ingest
from components.paths import (
    COLLECTION,
    DATASET,
)
from tests import toy
from tests.ingesting import photo, png, reasons, take, tree


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
    """Altered copies of known pictures, and new pictures of the same categories."""
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


def test_a_person_can_keep_pictures_that_look_like_copies(project: Path) -> None:
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
