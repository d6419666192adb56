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

from components import config, measure, pictures
from components.encoders import ClipEncoder, VisionEncoder
from components.errors import EidolonError
from components.files import sha256
from components.progress import track

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """N pictures, row by row: where each file is, the table of its measurements, its features.

    ``rows`` has what identifies a picture, then ``decodes``, ``intact`` (the file's hash is the
    manifest's), ``width``, ``height``, ``contrast``, ``sharpness``, ``agreement`` and ``resembles``
    (see :func:`agreement`). ``clip`` (N, d) and ``vision`` (N, d) have unit rows, ``thumbnails`` is
    (N, 192). Of a picture that does not decode the numbers are missing and the features zero.
    """

    files: tuple[Path, ...]
    rows: pd.DataFrame
    clip: Array
    vision: Array
    thumbnails: Array

    def replace(self, at: npt.NDArray[np.intp], new: Measured) -> Measured:
        """This table with the rows ``at`` taken from ``new``, in its order."""
        files = list(self.files)
        for place, file in zip(at, new.files, strict=True):
            files[place] = file
        rows = pd.concat([self.rows.drop(at), new.rows.set_axis(at)]).sort_index()
        arrays = {}
        for name in ("clip", "vision", "thumbnails"):
            arrays[name] = getattr(self, name).copy()
            arrays[name][at] = getattr(new, name)
        return Measured(tuple(files), rows, **arrays)


def agreement(
    clip: Array, text: Array, own: npt.NDArray[np.intp]
) -> tuple[Array, npt.NDArray[np.intp]]:
    """How much better a picture fits its own prompt than any other, and the index of the other.

    ``clip`` (N, d) and ``text`` (C, d) have unit rows, ``own`` (N,) is each picture's row of
    ``text``: its similarity to that, less the largest one to any other row.
    """
    similar = clip @ text.T
    rows = np.arange(len(clip))
    mine = similar[rows, own]
    similar[rows, own] = -np.inf
    best = similar.argmax(axis=1)
    return mine - similar[rows, best], best


class Meter:
    """The encoders and the categories' text vectors, loaded once for all rounds."""

    def __init__(self, params: config.Encoders, categories: Sequence[str]) -> None:
        """``categories`` are all that a picture may be mistaken for; at least two."""
        self._clip = ClipEncoder(params.clip, params.clip_revision, params.batch)
        self._vision = VisionEncoder(params.vision, params.vision_revision, params.batch)
        self._batch = max(self._clip.batch, self._vision.batch)
        self.categories = pd.Index(categories)
        text = self._clip.describe(list(categories), params.prompts)
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
        chunks = [
            np.arange(start, min(start + self._batch, len(rows)))
            for start in range(0, len(rows), self._batch)
        ]
        tables, arrays = [], []
        for chunk in track(chunks, "measure", "pictures", weigh=len):
            of_chunk = files[chunk[0] : chunk[-1] + 1]
            table = pd.DataFrame(index=chunk)
            digests = [sha256(file) if file.is_file() else "" for file in of_chunk]
            table["intact"] = rows["sha256"].iloc[chunk] == digests
            seen = [_read(file) for file in of_chunk]
            table["decodes"] = fine = np.array([image is not None for image in seen])
            images = [_NOTHING if image is None else image for image in seen]
            for name, value in _OF_PIXELS.items():
                table[name] = np.where(fine, [value(image) for image in images], np.nan)
            clip, vision = self._clip.images(images), self._vision.images(images)
            lead, other = agreement(clip, self.text, own[chunk])
            table["agreement"] = np.where(fine, lead, np.nan)
            table["resembles"] = np.where(fine, self.categories[other], "")
            tables.append(table)
            thumbnails = np.stack([measure.thumbnail(image) for image in images])
            arrays.append([features * fine[:, None] for features in (clip, vision, thumbnails)])
        joined = [np.concatenate(parts) for parts in zip(*arrays, strict=True)]
        return Measured(tuple(files), rows.join(pd.concat(tables)), *joined)


_NOTHING = Image.new("RGB", (32, 32))  # stands in for a picture that does not decode
_OF_PIXELS: dict[str, Callable[[Image.Image], float]] = {
    "width": lambda image: image.width,
    "height": lambda image: image.height,
    "contrast": lambda image: measure.contrast(measure.pixels(image)),
    "sharpness": lambda image: measure.sharpness(measure.pixels(image)),
}


def _read(file: Path) -> Image.Image | None:
    try:
        return pictures.read(file)
    except EidolonError:
        return None
