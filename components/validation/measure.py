"""Measurements of imagined pictures: files, pixels, and what the encoders see in them.

Each picture is read and encoded once; judging it against others needs no second look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from components import config
from components.errors import EidolonError
from components.files import sha256
from components.images import decoding
from components.models.encoders import ClipEncoder, VisionEncoder
from components.progress import track
from components.validation.quality import contrast, pixels, sharpness
from components.vectors import Array

DIGITS = 6
"""Decimals of what is summed over many numbers, and so kept by any processor."""


@dataclass(frozen=True)
class Measured:
    """N pictures, row by row: where each file is, the table of its measurements, its features.

    ``rows`` has what identifies a picture, then ``decodes``, ``intact`` (the file's hash is the
    manifest's), ``width``, ``height``, ``contrast``, ``sharpness``, ``clip_margin`` and
    ``resembles`` (see :func:`clip_margin`). ``clip`` (N, d) and ``vision`` (N, d) have unit
    rows, ``views`` are (N, 24, 96), see :func:`views`. A picture that does not decode has no
    numbers, and its features and views are zero.
    """

    files: tuple[Path, ...]
    rows: pd.DataFrame
    clip: Array
    vision: Array
    views: Array

    def replace(self, at: npt.NDArray[np.intp], new: Measured) -> Measured:
        """This table with the rows ``at`` taken from ``new``, in its order."""
        files = list(self.files)
        for place, file in zip(at, new.files, strict=True):
            files[place] = file
        rows = pd.concat([self.rows.drop(at), new.rows.set_axis(at)]).sort_index()
        arrays = {}
        for name in ("clip", "vision", "views"):
            arrays[name] = getattr(self, name).copy()
            arrays[name][at] = getattr(new, name)
        return Measured(tuple(files), rows, **arrays)


def clip_margin(
    clip: Array, text: Array, own: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """How much better a picture fits its own prompt than any other, to :data:`DIGITS`, and the
    index of the other.

    ``clip`` (N, d) and ``text`` (C, d) have unit rows, ``own`` (N,) is each picture's row of
    ``text``: its similarity to that, less the largest one to any other row.
    """
    similar = clip.astype(np.float64) @ text.astype(np.float64).T
    rows = np.arange(len(clip))
    mine = similar[rows, own]
    similar[rows, own] = -np.inf
    best = similar.argmax(axis=1)
    return np.round(mine - similar[rows, best], DIGITS), best


def views(image: Image.Image) -> Array:
    """(24, 96), by which copies are found: the picture as it may be seen in a copy of it that was
    shifted by up to a 32nd of its side, cropped by that on all sides, lit until its lights are cut
    off, or mirrored.

    Each view is brightness at 8x8 pixels, less its mean, and the two colour differences of JPEG at
    4x4, which lossy encoding spares; all of it has length one, whatever the contrast. The first
    view is the picture's own.
    """
    width, height = image.size
    lit = [image.point([min(255, round(v * gain)) for v in range(256)] * 3) for gain in _GAINS]
    shown = [(image, window) for window in _WINDOWS] + [(light, _WINDOWS[0]) for light in lit]
    found = []
    for light, (left, top, share) in shown:
        box = (left * width, top * height, (left + share) * width, (top + share) * height)
        small = light.convert("YCbCr").resize((_SIDE, _SIDE), Image.Resampling.HAMMING, box)
        values = np.asarray(small, dtype=np.float32)
        for side in (values, values[:, ::-1]):
            brightness = side[..., 0] - side[..., 0].mean()
            colour = side[..., 1:].reshape(_SIDE // 2, 2, _SIDE // 2, 2, 2).mean((1, 3)) - 128
            # a colour difference covers four pixels of brightness
            found.append(np.concatenate([brightness.ravel(), 2 * colour.ravel()]))
    vectors = np.stack(found)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


_SIDE = 8  # of a view, in pixels
_EDGE = 1 / 32  # of a picture's side
_INNER = 1 - 2 * _EDGE
_WINDOWS = [  # left, top and side, in shares of the picture; the first is the middle
    (_EDGE, _EDGE, _INNER),
    *((x * _EDGE, y * _EDGE, _INNER) for y in range(3) for x in range(3) if (x, y) != (1, 1)),
    ((1 - _INNER**2) / 2, (1 - _INNER**2) / 2, _INNER**2),
]
_GAINS = (1.15, 1.3)


class Meter:
    """The encoders and the categories' text vectors, loaded once for all rounds."""

    def __init__(self, params: config.Encoders, categories: Sequence[str]) -> None:
        """``categories`` are all that a picture may be mistaken for; at least two."""
        self._clip = ClipEncoder(
            params.clip, params.clip_revision, params.batch, params.memory_share
        )
        self._vision = VisionEncoder(
            params.vision, params.vision_revision, params.batch, params.memory_share
        )
        self._batch = max(self._clip.batch, self._vision.batch)
        self.categories = pd.Index(categories)
        text = self._clip.describe(list(categories), params.text_templates)
        self.text: Array = text / np.linalg.norm(text, axis=1, keepdims=True)

    def measure(self, files: Sequence[Path], frame: pd.DataFrame) -> Measured:
        """Measure ``files``, one per row of ``frame`` (category, sha256, and what else there is).

        Raises :class:`EidolonError` for a category that the meter does not know.
        """
        own = self.categories.get_indexer(pd.Index(frame["category"]))
        if (own < 0).any():
            strange = sorted(set(frame["category"][own < 0]))
            raise EidolonError(
                f"imagined pictures of {strange[:3]} belong to no category of the dataset:"
                " run `dvc repro generate`"
            )
        rows = frame.reset_index(drop=True)
        tables: list[pd.DataFrame] = []
        arrays = []
        done = 0
        read = map(_read, track(files, "measure", "pictures"))
        for images in decoding.grouped(read, self._batch):
            chunk = np.arange(done, done + len(images))
            done += len(images)
            table = pd.DataFrame(index=chunk)
            of_chunk = files[chunk[0] : done]
            digests = [sha256(file) if file.is_file() else "" for file in of_chunk]
            table["intact"] = rows["sha256"].iloc[chunk] == digests
            table["decodes"] = fine = np.array([image is not _NOTHING for image in images])
            for name, value in _OF_PIXELS.items():
                table[name] = np.where(fine, [value(image) for image in images], np.nan)
            clip, vision = self._clip.images(images), self._vision.images(images)
            lead, other = clip_margin(clip, self.text, own[chunk])
            table["clip_margin"] = np.where(fine, lead, np.nan)
            table["resembles"] = np.where(fine, self.categories[other], "")
            tables.append(table)
            seen_so = np.stack([views(image) for image in images])
            arrays.append([clip * fine[:, None], vision * fine[:, None], seen_so])
        joined = [np.concatenate(parts) for parts in zip(*arrays, strict=True)]
        return Measured(tuple(files), rows.join(pd.concat(tables)), *joined)


_NOTHING = Image.new("RGB", (32, 32))  # stands in for a picture that does not decode
_MAX_PIXELS = 2048**2  # a generator draws none with more: config.Generator.size
_OF_PIXELS: dict[str, Callable[[Image.Image], float]] = {
    "width": lambda image: image.width,
    "height": lambda image: image.height,
    "contrast": lambda image: contrast(pixels(image)),
    "sharpness": lambda image: sharpness(pixels(image)),
}


def _read(file: Path) -> Image.Image:
    try:
        return decoding.decode(file, max_pixels=_MAX_PIXELS)
    except EidolonError:
        return _NOTHING
