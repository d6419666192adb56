"""Measures imagined pictures: their files, their pixels, and their features.

What depends on one picture alone is in the store of features, and computed once. What depends on
the categories too is computed here each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import config
from components.errors import EidolonError
from components.features.encoding import Encoding, describe, digests
from components.features.segments import Keys
from components.features.store import FeatureStore, keys
from components.models.lazy import LazyClip, LazyVision, lazy_encoders
from components.validation.appearance import NUMBERS, Numbers, Views
from components.vectors import Array, normalized

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

DIGITS = 6
"""Decimals of sums over many numbers. These decimals are the same on every processor."""


@dataclass(frozen=True)
class Measured:
    """N pictures, row by row: their files, a table of measurements, and their features.

    ``rows`` has the columns that identify a picture, then ``decodes``, ``intact`` (the file has the
    manifest's hash), ``width``, ``height``, ``contrast``, ``sharpness``, ``clip_margin``,
    ``agreement``, and ``resembles``, the category of the best other prompt (see :func:`clip_margin`
    and :func:`agreement`). ``clip`` (N, d) and ``vision`` (N, d) have rows of length one. ``views``
    is (N, 24, 96), see :func:`components.validation.appearance.views`. A picture that does not
    decode has no measurements, and its features are zero.
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


def clip_margin(clip: Array, text: Array, own: npt.NDArray[np.intp]) -> tuple[Floats, Rows]:
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


def agreement(clip: Array, text: Array, known: Array) -> Floats:
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


def encoding_of_imagined(
    files: Sequence[Path], keys: Keys, encoders: tuple[LazyClip, LazyVision], store: FeatureStore
) -> Encoding:
    """The rows of N imagined pictures by both ``encoders``, :class:`Numbers` and :class:`Views`, in
    this order. A picture that does not decode has none."""
    return Encoding(
        files,
        keys,
        "imagined",
        (*encoders, Numbers(), Views()),
        store,
        lenient=True,
        max_pixels=_MAX_PIXELS,
    )


class Meter:
    """Measures pictures with both encoders, which it loads once for all rounds, if at all."""

    def __init__(
        self,
        params: config.Encoders,
        categories: Sequence[str],
        store: FeatureStore | None = None,
    ) -> None:
        """``categories`` are all categories of the dataset, at least two."""
        self._store = store or FeatureStore()
        self._encoders = clip, _ = lazy_encoders(params)
        self.categories = pd.Index(categories)
        text = describe(clip, list(categories), params.text_templates, self._store)
        self.text: Array = normalized(text)
        self.encoded, self.measured = 0, 0

    def measure(self, files: Sequence[Path], frame: pd.DataFrame) -> Measured:
        """Measure ``files``, one per row of ``frame``.

        ``frame`` has the columns category and sha256; its other columns are kept. What the store of
        features lacks is computed and counted in ``encoded``, and all files in ``measured``. Raises
        :class:`EidolonError` for a category that is not in the dataset.
        """
        own = self.categories.get_indexer(pd.Index(frame["category"]))
        if (own < 0).any():
            strange = sorted(set(frame["category"][own < 0]))
            raise EidolonError(
                f"imagined pictures of {strange[:3]} belong to no category of the dataset:"
                " run `dvc repro generate`"
            )
        found = digests(files)
        work = encoding_of_imagined(files, keys(found), self._encoders, self._store).fill()
        clip, vision, numbers, views = (work.rows(i) for i in range(len(work.shelves)))
        self.encoded, self.measured = self.encoded + work.encoded, self.measured + len(files)
        rows = frame.reset_index(drop=True)
        table = pd.DataFrame(index=rows.index)
        table["intact"] = rows["sha256"] == found
        table["decodes"] = fine = work.fine
        for name, values in zip(NUMBERS, numbers.T, strict=True):
            table[name] = np.where(fine, values, np.nan)
        margin, agreed, other = self._compare(clip, own)
        table["clip_margin"] = np.where(fine, margin, np.nan)
        table["agreement"] = np.where(fine, agreed, np.nan)
        table["resembles"] = np.where(fine, self.categories[other], "")
        return Measured(tuple(files), rows.join(table), clip, vision, views)

    def _compare(self, clip: Array, own: npt.NDArray[np.intp]) -> tuple[Floats, Floats, Rows]:
        """The margin, the agreement, and the index of the best other category, of each row of
        ``clip`` (N, d), which is of the category ``own`` (N,)."""
        chunks = [slice(i, i + _CHUNK) for i in range(0, len(clip), _CHUNK)]
        margins = [clip_margin(clip[chunk], self.text, own[chunk]) for chunk in chunks]
        agreed = [agreement(clip[chunk], self.text[own[chunk]], self.text) for chunk in chunks]
        margin, other = (np.concatenate(parts) for parts in zip(*margins, strict=True))
        return margin, np.concatenate(agreed), other


_CHUNK = 1024  # pictures that are compared with all categories at once
_MAX_PIXELS = 2048**2  # a generator never draws more: config.Generator.size
