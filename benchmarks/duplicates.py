"""How often different pictures are taken for near-duplicates, and how often copies are missed.

`python -m benchmarks.duplicates` prints the tables of docs/data.md: a row for each kind of picture,
and a row for each alteration of a copy. All pictures are generated, so no data set is needed.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.alterations import ALTERATIONS
from benchmarks.lookalikes import KINDS
from components import config
from components.collection.known import KnownPictures
from components.errors import one_sentence
from components.images.hashing import image_hashes


@dataclass(frozen=True)
class Measured:
    """The figures of one kind of picture.

    ``refused`` is the share of different pictures that were refused, ``per_second`` the pictures
    looked up in a second of processor time, and ``recall`` the share of copies that were found, by
    alteration.
    """

    refused: float
    per_second: float
    recall: dict[str, float]


def measure(kind: str, params: config.Ingest, count: int, copies: int, seed: int = 0) -> Measured:
    """Look up each of ``count`` pictures of ``kind`` among those before it, then altered copies of
    ``copies`` of them among all."""
    rng = np.random.default_rng([seed, [*KINDS].index(kind)])
    images = [KINDS[kind](rng) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        known = KnownPictures(
            params.max_hamming, params.near_duplicate_distance, Path(folder) / "sketches.sqlite"
        )
        refused = 0
        began = time.process_time()
        for i, image in enumerate(images):
            refused += known.near(image) is not None
            known.add(image_hashes(image), Path(str(i)), image)
        took = time.process_time() - began
        chosen = rng.choice(count, size=copies, replace=False)
        recall = {
            name: float(np.mean([known.near(alter(images[i], rng)) is not None for i in chosen]))
            for name, alter in ALTERATIONS.items()
        }
    return Measured(refused / count, count / took, recall)


def main(
    count: Annotated[int, typer.Option(min=2, help="pictures of each kind")] = 500,
    copies: Annotated[int, typer.Option(min=1, help="pictures of each kind to alter")] = 60,
) -> None:
    """Measure near-duplicates on generated pictures of several kinds (docs/data.md)."""
    params = config.load().ingest
    found = {kind: measure(kind, params, count, min(copies, count)) for kind in KINDS}
    errors = Table("kind", "refused", "pictures/s", "least recall")
    for kind, row in found.items():
        worst = min(row.recall, key=lambda name: row.recall[name])
        errors.add_row(
            kind, f"{row.refused:.3f}", f"{row.per_second:.0f}", f"{row.recall[worst]:.2f} {worst}"
        )
    recall = Table("copy", *KINDS)
    for name in ALTERATIONS:
        recall.add_row(name, *(f"{row.recall[name]:.2f}" for row in found.values()))
    console = Console(width=160)
    console.print(errors)
    console.print(recall)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
