"""Measures imagined pictures: their files, their pixels, and their features.

Each picture is read and encoded once. Comparing it with others needs no second pass.
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
from components.models.encoders import load_encoders
from components.progress import track
from components.validation.quality import contrast, pixels, sharpness
from components.vectors import Array, normalized

DIGITS = 6
"""Decimals of sums over many numbers. These decimals are the same on every processor."""


@dataclass(frozen=True)
class Measured:
    """N pictures, row by row: their files, a table of measurements, and their features.

    ``rows`` has the columns that identify a picture, then ``decodes``, ``intact`` (the file has the
    manifest's hash), ``width``, ``height``, ``contrast``, ``sharpness``, ``clip_margin``,
    ``agreement``, and ``resembles``, the category of the best other prompt (see :func:`clip_margin`
    and :func:`agreement`). ``clip`` (N, d) and ``vision`` (N, d) have rows of length one. ``views``
    is (N, 24, 96), see :func:`views`. A picture that does not decode has no measurements, and its
    features are zero.
    """

    files: tuple[Path, ...]
    rows: pd.DataFrame
    clip: Array
    vision: Array
    views: Array

    def replace(self, at: npt.NDArray[np.intp], new: Measured) -> Measured:
        """A copy of this table whose rows ``at`` are those of ``new``, in the same order."""
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
    """How much better each picture fits its own category than any other: (N,).

    It is the similarity to the picture's own row of ``text``, minus the largest similarity to any
    other row, rounded to :data:`DIGITS`. The second result (N,) is the index of that other row.
    ``clip`` (N, d) and ``text`` (C, d) have rows of length one. ``own`` (N,) is the index of each
    picture's own row.
    """
    similar = clip.astype(np.float64) @ text.astype(np.float64).T
    rows = np.arange(len(clip))
    mine = similar[rows, own]
    similar[rows, own] = -np.inf
    best = similar.argmax(axis=1)
    return np.round(mine - similar[rows, best], DIGITS), best


def agreement(clip: Array, text: Array, known: Array) -> npt.NDArray[np.float64]:
    """How much nearer each picture is to its text than to the categories' names: (N,).

    It is the similarity to the picture's own row of ``text`` (N, d_clip), in standard deviations
    above the mean of the similarities to all ``known`` (C, d_clip), rounded to :data:`DIGITS`. All
    rows have length one. Unlike the margin, it does not count against a picture that it also fits
    a category, as that of "red star" does.
    """
    similar = clip.astype(np.float64) @ known.astype(np.float64).T
    own = (clip.astype(np.float64) * text.astype(np.float64)).sum(axis=1)
    spread = np.maximum(similar.std(axis=1), 1e-6)
    return np.round((own - similar.mean(axis=1)) / spread, DIGITS)


def views(image: Image.Image) -> Array:
    """The picture as it would look in an altered copy, by which copies are found: (24, 96).

    The copies are shifted by up to a 32nd of the side, cropped by that on all sides, brightened
    until highlights clip, or mirrored. The first view is the picture itself.

    Each view holds the brightness at 8x8 pixels, minus its mean, and the two colour differences of
    JPEG at 4x4 pixels. Lossy encoding keeps these. Each view is scaled to length one, so that
    contrast does not matter.
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
    return normalized(np.stack(found), least=1e-6)


_SIDE = 8  # of a view, in pixels
_EDGE = 1 / 32  # as a share of a picture's side
_INNER = 1 - 2 * _EDGE
_WINDOWS = [  # left, top and side, as shares of the picture; the first one is centred
    (_EDGE, _EDGE, _INNER),
    *((x * _EDGE, y * _EDGE, _INNER) for y in range(3) for x in range(3) if (x, y) != (1, 1)),
    ((1 - _INNER**2) / 2, (1 - _INNER**2) / 2, _INNER**2),
]
_GAINS = (1.15, 1.3)


class Meter:
    """Measures pictures with both encoders, which it loads once for all rounds."""

    def __init__(self, params: config.Encoders, categories: Sequence[str]) -> None:
        """Load the encoders, and encode the names of ``categories``: all categories of the dataset,
        at least two."""
        self._clip, self._vision = load_encoders(params)
        self._batch = max(self._clip.batch, self._vision.batch)
        self.categories = pd.Index(categories)
        text = self._clip.describe(list(categories), params.text_templates)
        self.text: Array = normalized(text)

    def measure(self, files: Sequence[Path], frame: pd.DataFrame) -> Measured:
        """Measure ``files``, one per row of ``frame``.

        ``frame`` has the columns category and sha256; its other columns are kept. Raises
        :class:`EidolonError` for a category that is not in the dataset.
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
            margin, other = clip_margin(clip, self.text, own[chunk])
            table["clip_margin"] = np.where(fine, margin, np.nan)
            agreed = agreement(clip, self.text[own[chunk]], self.text)
            table["agreement"] = np.where(fine, agreed, np.nan)
            table["resembles"] = np.where(fine, self.categories[other], "")
            tables.append(table)
            chunk_views = np.stack([views(image) for image in images])
            arrays.append([clip * fine[:, None], vision * fine[:, None], chunk_views])
        joined = [np.concatenate(parts) for parts in zip(*arrays, strict=True)]
        return Measured(tuple(files), rows.join(pd.concat(tables)), *joined)


_NOTHING = Image.new("RGB", (32, 32))  # stands in for a picture that does not decode
_MAX_PIXELS = 2048**2  # a generator never draws more: config.Generator.size
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
