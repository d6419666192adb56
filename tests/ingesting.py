"""Photos, folders and archives to ingest, and the outcome of ingesting them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd
from PIL import Image

from components import config
from components.collection.ingest import Outcome, ingest
from components.datasets.emblems import Emblem, draw

NEW = "orange plain cross"
KNOWN = "red plain star"


def photo(name: str = NEW, index: int = 0) -> Image.Image:
    return draw(Emblem.parse(name), seed=9, subset="ingest", index=index)


def png(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tree(root: Path, counts: dict[str, int]) -> Path:
    """A folder with ``counts`` photos of each category."""
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


def zipped(path: Path, name: str, content: bytes = b"x", mode: int = 0) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("good/0.png", png(photo()))
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        packed.writestr(info, content)
