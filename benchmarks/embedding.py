"""Pictures per second of encoding: `python -m benchmarks.embedding`.

Each kind of picture goes through both encoders of params.yaml: decoded and encoded in turn, decoded
ahead in threads as all stages do it, and found in the store of features. Photographs also go
through an encoder that works elsewhere, as on an accelerator: it is made, and sleeps.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.timing import timed
from components import config
from components.datasets.emblems import Emblem, draw
from components.errors import one_sentence
from components.features.encoding import Encoding, digests
from components.features.store import Encoder, FeatureStore, keys
from components.files import sha256
from components.images.decoding import decode, grouped
from components.models.lazy import lazy_encoders
from components.vectors import Array

REPEATS = 3
KINDS = {"emblems, 64 x 64": 256, "1 megapixel": 64, "12 megapixels": 16}
"""The kinds of picture, and how many of each."""

SIZES = {"1 megapixel": (1200, 900), "12 megapixels": (4000, 3000)}
SIDE = 224  # to which a published encoder scales a picture


def main() -> None:
    """Print pictures per second for each kind of picture, the median of three repeats."""
    clip, vision = lazy_encoders(config.load().encoders)
    for encoder in (clip, vision):
        encoder.images([Image.new("RGB", (64, 64))])  # loads it
    table = Table(title=f"pictures per second, {torch.get_num_threads()} threads of PyTorch")
    for column in ("what", "in turn", "ahead", "ratio", "from the store"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as place:
        for kind, count in KINDS.items():
            files = made(kind, count, Path(place) / kind)
            table.add_row(kind, *row(files, (clip, vision), Path(place) / f"{kind}, here"))
            if kind in SIZES:
                of = f"{kind}, encoder elsewhere"
                table.add_row(of, *row(files, (Elsewhere(),), Path(place) / of))
    Console().print(table)


def made(kind: str, count: int, folder: Path) -> list[Path]:
    """``count`` files of pictures of a ``kind``, in a new ``folder``."""
    folder.mkdir(parents=True)
    if kind not in SIZES:
        files = [folder / f"{i}.png" for i in range(count)]
        for i, file in enumerate(files):
            draw(Emblem.parse("red striped star"), seed=1, subset="benchmark", index=i).save(file)
        return files
    rng, files = np.random.default_rng(0), [folder / f"{i}.jpg" for i in range(count)]
    for file in files:  # as detailed as a photograph: 0.3 and 4 MB
        coarse = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).resize(SIZES[kind])
        noise = rng.normal(0, 4, (*coarse.size[::-1], 1))
        Image.fromarray(np.uint8(np.clip(np.asarray(coarse) + noise, 0, 255))).save(
            file, quality=90
        )
    return files


def row(files: Sequence[Path], encoders: Sequence[Encoder], place: Path) -> tuple[str, ...]:
    """The figures of a row of the table. Stores of features are made in ``place``."""
    known = keys(digests(files))  # as a manifest has them

    def in_turn(_: int) -> None:
        side = max(encoder.side or SIDE for encoder in encoders)
        for file in files:
            sha256(file)  # as what is ahead does
        for images in grouped((decode(file, side=side) for file in files), encoders[0].batch):
            for encoder in encoders:
                encoder.images(images)

    def ahead(repeat: int) -> None:
        store = FeatureStore(place / str(repeat))
        work = Encoding(files, known, "benchmark", encoders, store, reduced=True).fill()
        for i in range(len(encoders)):
            work.rows(i)

    slow, fast, warm = (
        len(files) / timed(work, REPEATS)[1] for work in (in_turn, ahead, lambda _: ahead(0))
    )
    return f"{slow:.0f}", f"{fast:.0f}", f"{fast / slow:.2f}x", f"{warm:.0f}"


class Elsewhere:
    """Takes 10 ms for a picture, and no processor."""

    kind, batch, side = "elsewhere", 8, SIDE
    address: ClassVar = {"encoder": "made"}

    def images(self, images: Sequence[Image.Image]) -> Array:
        """Zeros for each of ``images`` (n, 1)."""
        time.sleep(0.01 * len(images))
        return np.zeros((len(images), 1), np.float32)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
