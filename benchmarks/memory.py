"""Peak memory of reading photographs, by their number: `python -m benchmarks.memory`.

The photographs have 12 megapixels. `ingest` refuses all but the first, since they are identical;
`embed` encodes them with the encoders of params.yaml.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from PIL import Image

from benchmarks.peak import peak
from components import config, manifest
from components.collection.ingest import ingest
from components.images import encoding

SIZE = (4000, 3000)


def main(
    what: Annotated[str, typer.Argument(help="`ingest` or `embed`")],
    counts: Annotated[list[int], typer.Argument(help="how many photographs, in this order")],
) -> None:
    """Print this process's peak memory after each of COUNTS. WHAT (`ingest` or `embed`) reads that
    many photographs from a new folder."""
    params = config.load()
    root = Path.cwd()
    encoders = params.encoders.model_copy(
        update={
            "clip": str(root / params.encoders.clip),
            "vision": str(root / params.encoders.vision),
        }
    )
    with tempfile.TemporaryDirectory() as place, chdir(place):
        _dataset(Path("data/dataset"))
        if what == "embed":
            from components.features.encoding import encode
            from components.models.lazy import lazy_encoders

            clip, vision = lazy_encoders(encoders)
        print(f"start: {peak()} MB")
        for count in counts:
            folder = Path(f"photographs/{count}/grey")
            _photographs(folder, count)
            if what == "embed":
                encode(sorted(folder.iterdir()), "photographs", clip, vision, reduced=True)
            else:
                ingest(folder.parent, params.ingest)
            shutil.rmtree(folder)
            print(f"{count}: {peak()} MB", flush=True)


def _photographs(folder: Path, count: int) -> None:
    """``count`` files of one photograph, which differ in what follows it: nothing that was encoded
    before is in the store."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    photograph = encoding.encode(Image.fromarray(noise).resize(SIZE), "JPEG")
    for i in range(count):
        (folder / f"{i}.jpg").write_bytes(photograph + f"{folder} {i}".encode())


def _dataset(folder: Path) -> None:
    """A dataset with a single tiny picture."""
    (folder / "gallery").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folder / "gallery" / "0.png")
    row = dict.fromkeys(manifest.DATASET_COLUMNS, "none") | {
        "path": "gallery/0.png",
        "split": "train",
        "subset": "gallery",
        "dhash": "f" * 16,
    }
    manifest.write(folder, pd.DataFrame([row]))


if __name__ == "__main__":
    typer.run(main)
