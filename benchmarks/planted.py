"""Bad pictures of known kinds among imagined ones, to measure what validation catches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from components import manifest
from components.files import sha256
from components.images import decoding
from components.images.encoding import encode
from components.validation.measure import Measured, Meter

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Planted:
    """``measured`` with bad pictures in the rows ``at``. ``sources`` are the rows whose copies were
    planted (equal to ``at`` for other kinds)."""

    measured: Measured
    at: Rows
    sources: Rows


def plant(
    kind: str,
    measured: Measured,
    meter: Meter,
    folder: Path,
    at: Rows,
    spared: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Planted:
    """Replace the rows ``at`` by bad pictures of ``kind``, written to ``folder``.

    Kinds that are made from another picture take it from the rows ``spared``. The manifest gets the
    hash of each new file, so that only the picture itself is wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = at.copy()
    files = []
    for place, row in enumerate(at):
        file = folder / f"{row}.png"
        if kind in _FROM:
            sources[place] = row = rng.choice(
                np.flatnonzero(_FROM[kind](measured.rows, row) & spared)
            )
        file.write_bytes(KINDS[kind](measured.files[row], rng))
        files.append(file)
    frame = measured.rows.iloc[at][[*manifest.ACCEPTED_COLUMNS]]
    frame = frame.assign(sha256=[sha256(file) for file in files])
    measured = measured.replace(at, meter.measure(files, frame))
    return Planted(measured, at, sources if "copy" in kind else at)


def _blank(_: Path, rng: np.random.Generator) -> bytes:
    values = rng.uniform(20, 235, size=3) + rng.normal(0, rng.uniform(0, 3), (32, 32, 3))
    return _png(values)


def _noise(_: Path, rng: np.random.Generator) -> bytes:
    match rng.integers(4):
        case 0:
            return _png(rng.uniform(0, 255, (32, 32, 3)))
        case 1:
            return _png(128 + rng.normal(0, 40, (32, 32, 3)))
        case 2:
            return _png(np.repeat(rng.uniform(0, 255, (32, 32, 1)), 3, axis=2))
        case _:
            coarse = Image.fromarray(np.uint8(rng.uniform(0, 255, (8, 8, 3))))
            return encode(coarse.resize((32, 32), Image.Resampling.BICUBIC), "PNG")


def _as_it_is(source: Path, _: np.random.Generator) -> bytes:
    return source.read_bytes()


def _copy(source: Path, rng: np.random.Generator) -> bytes:
    image = decoding.decode(source)
    match rng.integers(4):
        case 0:
            return source.read_bytes()
        case 1:
            return encode(decoding.decode(encode(image, "JPEG", quality=92)), "PNG")
        case 2:
            return _png(np.asarray(image) + rng.normal(0, 3, (image.height, image.width, 3)))
        case _:
            return encode(image.resize((24, 24)).resize(image.size), "PNG")


def _shifted(source: Path, rng: np.random.Generator) -> bytes:
    values = np.asarray(decoding.decode(source))
    down, right = rng.integers(-1, 2), rng.choice((-1, 1))
    framed = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    moved = np.roll(framed, (down, right), axis=(0, 1))
    return encode(Image.fromarray(moved[1:-1, 1:-1]), "PNG")


def _lit(source: Path, rng: np.random.Generator) -> bytes:
    return _png(np.asarray(decoding.decode(source)) * rng.choice((0.85, 1.15)))


def _cropped(source: Path, _: np.random.Generator) -> bytes:
    image = decoding.decode(source)
    inner = image.crop((1, 1, image.width - 1, image.height - 1))
    return encode(inner.resize(image.size, Image.Resampling.BICUBIC), "PNG")


def _recompressed(source: Path, _: np.random.Generator) -> bytes:
    lossy = encode(decoding.decode(source), "JPEG", quality=60)
    return encode(decoding.decode(lossy), "PNG")


def _mirrored(source: Path, _: np.random.Generator) -> bytes:
    return encode(decoding.decode(source).transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG")


def _altered(source: Path, rng: np.random.Generator) -> bytes:
    alter = (_shifted, _lit, _cropped, _recompressed, _mirrored)[rng.integers(5)]
    return alter(source, rng)


def _truncated(source: Path, rng: np.random.Generator) -> bytes:
    data = source.read_bytes()
    return data[: int(len(data) * rng.uniform(0.2, 0.95))]


def _bomb(_: Path, rng: np.random.Generator) -> bytes:
    return _black(int(rng.choice((8_000, 12_000, 20_000))))


@cache
def _black(side: int) -> bytes:
    return encode(Image.new("1", (side, side)), "PNG")


def _text(_: Path, rng: np.random.Generator) -> bytes:
    page = "<html><body>503 no picture today</body></html>\n"
    return (page * int(rng.integers(0, 40))).encode()


KINDS: dict[str, Callable[[Path, np.random.Generator], bytes]] = {
    "blank": _blank,
    "noise": _noise,
    "copy": _copy,
    "shifted copy": _shifted,
    "lighter or darker copy": _lit,
    "cropped copy": _cropped,
    "recompressed copy": _recompressed,
    "mirrored copy": _mirrored,
    "altered copy of another category": _altered,
    "truncated": _truncated,
    "bomb": _bomb,
    "text": _text,
    "another category": _as_it_is,
    "one attribute off": _as_it_is,
}


def _siblings(rows: pd.DataFrame, row: int) -> pd.Series:
    return (rows["category"] == rows["category"].iloc[row]) & (np.arange(len(rows)) != row)


def _strangers(rows: pd.DataFrame, row: int) -> pd.Series:
    return rows["category"] != rows["category"].iloc[row]


def _neighbours(rows: pd.DataFrame, row: int) -> pd.Series:
    """Pictures of the categories of `emblems` whose names differ in one word."""
    words = rows["category"].str.split(expand=True)
    return (words != words.iloc[row]).sum(axis=1) == 1


_FROM: dict[str, Callable[[pd.DataFrame, int], pd.Series]] = {
    **dict.fromkeys((kind for kind in KINDS if kind.endswith("copy")), _siblings),
    "altered copy of another category": _strangers,
    "another category": _strangers,
    "one attribute off": _neighbours,
}


def _png(values: npt.NDArray[np.float64]) -> bytes:
    return encode(Image.fromarray(np.uint8(np.clip(values, 0, 255))), "PNG")
