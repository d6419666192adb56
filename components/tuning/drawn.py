"""The pictures of the validation categories as one setting draws them, judged as `validate` does.

They go through the store, so a picture that any run drew is not drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import config, manifest
from components.features.features import Features
from components.files import sha256
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.recipes import wanted
from components.imagining.store import Store
from components.kinds import CLASS
from components.validation.likeness import Likeness
from components.validation.measure import Meter
from components.validation.regeneration import regenerate
from components.vectors import Array


@dataclass(frozen=True)
class Drawn:
    """K pictures of each of V categories.

    ``vision`` (V, K, d) are their features, ``accepted`` (V, K) whether `validate` accepts each in
    the end, and ``redrawn`` (V, K) how often it was regenerated before. ``png_bytes`` is their mean
    size.
    """

    vision: Array
    accepted: npt.NDArray[np.bool_]
    redrawn: npt.NDArray[np.intp]
    png_bytes: float

    def within(self, features: Features, count: int, least: int) -> Features:
        """``features`` with the first ``count`` pictures of each validation category.

        A category with fewer than ``least`` accepted pictures is left to text, as `validate` does.
        The other categories have no pictures.
        """
        accepted = self.accepted[:, :count]
        accepted = accepted & (accepted.sum(axis=1, keepdims=True) >= least)
        rows = features.rows("validation")
        mask = np.zeros((len(features.categories), count), dtype=bool)
        mask[rows] = accepted
        vectors = np.zeros((*mask.shape, self.vision.shape[2]), dtype=np.float32)
        vectors[rows] = self.vision[:, :count] * accepted[..., None]
        return replace(features.of(CLASS), imagined=vectors, accepted=mask)


def imagine(
    categories: Sequence[str],
    generator: config.Generator,
    params: config.Params,
    meter: Meter,
    store: Store,
) -> Drawn:
    """Draw, measure and judge the pictures of ``categories`` that ``generator`` asks for, and draw
    the rejected ones again as ``params.validation`` says."""
    asked = wanted(generator, categories)
    what = f"draw {generator.steps} steps, guidance {generator.guidance:g}"
    model = LazyGenerator(generator)
    addresses = draw(asked, model, store, what=what)
    files = [store.path(addresses[one]) for one in asked]
    rows = [
        (
            one.path,
            *(one.category, one.prompt, one.seed, generator.model),
            *(sha256(file), addresses[one], one.kind, one.attempt),
        )
        for one, file in zip(asked, files, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=list(manifest.ACCEPTED_COLUMNS))
    measured = meter.measure(files, frame)
    found = regenerate(measured, params.validation, model, meter, store, Likeness())
    again = frame["path"].map(found.replaced["path"].value_counts()).fillna(0)
    sizes = [file.stat().st_size for file in found.measured.files]

    def by_category(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Values in the order of ``asked``, which has the first pictures of all categories first,
        as a row for each category."""
        grid = values.reshape(generator.images_per_category, len(categories), *values.shape[1:])
        return grid.swapaxes(0, 1)

    return Drawn(
        vision=by_category(found.measured.vision).astype(np.float32),
        accepted=by_category((found.last["reason"] == "").to_numpy(dtype=bool)).astype(bool),
        redrawn=by_category(again.to_numpy(dtype=np.intp)).astype(np.intp),
        png_bytes=float(np.mean(sizes)),
    )
