"""What one more batch costs to ingest as the collection grows: `python -m benchmarks.ingesting`.

The pictures are made: small JPEGs in a folder for each category, no two alike. Each batch is
ingested by a process of its own, so that the peak memory is that of one ingestion.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import typer
from PIL import Image

from benchmarks.peak import peak
from components import config, manifest
from components.collection import catalog
from components.collection.ingest import ingest
from components.errors import one_sentence
from components.paths import DATASET

CATEGORIES = 100
_SIDE, _GRID = 64, 12  # pixels of a picture, and of the noise that it is made of


class Batch(NamedTuple):
    """What a batch took: seconds of clock and processor, peak memory in MiB, pictures added."""

    seconds: float
    processor: float
    memory: int
    added: int


def main(
    files: Annotated[int, typer.Option(min=1, help="pictures in the collection, at most")] = 10_000,
    batch: Annotated[int, typer.Option(min=1, help="pictures of a batch")] = 1000,
) -> None:
    """Print what a batch takes when the collection has 1,000 pictures, and ten times as many, up to
    FILES."""
    params = config.load().ingest.model_copy(update={"max_files": 10**7, "max_bytes": 10**12})
    with tempfile.TemporaryDirectory() as place, chdir(place):
        _dataset(DATASET)
        made = 0
        for mark in marks(files):
            have = len(catalog.read())
            for count in (mark - have, batch):  # the first batch fills the collection
                measured = _batch(params, range(made, made + count))
                made += count
            print(
                f"{mark:>9,} pictures and {batch:,} more:"
                f" {measured.added / measured.seconds:5.0f} pictures/s,"
                f" {1000 * measured.processor / batch:5.2f} ms of processor each,"
                f" {measured.memory} MiB, {measured.added} added",
                flush=True,
            )


def marks(files: int) -> list[int]:
    """1,000, 10,000 and so on below ``files``, and ``files`` itself."""
    return [mark for mark in (10**power for power in range(3, 9)) if mark < files] + [files]


def _batch(params: config.Ingest, numbers: range) -> Batch:
    """Make the pictures of these ``numbers`` and ingest them in a process of its own."""
    source = Path("new")
    for number in numbers:
        path = source / f"category {number % CATEGORIES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path, quality=85)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured = pool.apply(_ingest, (source, params))
    shutil.rmtree(source)
    return measured


def _ingest(source: Path, params: config.Ingest) -> Batch:
    began, used = time.perf_counter(), time.process_time()
    outcome = ingest(source, params)
    return Batch(time.perf_counter() - began, time.process_time() - used, peak(), outcome.added)


def picture(number: int) -> Image.Image:
    """A picture of smooth noise. Equal numbers give equal pictures."""
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 256, (_GRID, _GRID, 3), dtype=np.uint8))
    return small.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)


def _dataset(folder: Path) -> None:
    """A dataset of one picture, since an ingestion compares with one."""
    place = folder / "gallery" / "other"
    place.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(place / "0.png")
    row = dict.fromkeys(manifest.DATASET_COLUMNS, "0")
    row |= {"path": "gallery/other/0.png", "category": "other", "dhash": "0" * 16}
    manifest.write(folder, pd.DataFrame([row]))


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
