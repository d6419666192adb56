"""A made gallery with the structure of real embeddings, of any size, in a mapped file.

Pictures lie around the centres of categories, and all of them in one cone away from zero. Numbers
differ in how much they vary, and two of CLIP's are large in every picture. A category is near
itself in both spaces. Queries lie near a category too, texts further away than imagined pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.arrays import create, mapped
from components.index.engine import Asked
from components.index.gallery import Hubness
from components.progress import track
from components.vectors import Array, normalized

CLIP, VISION = 768, 1024
"""The dimensions of CLIP ViT-L and DINOv2-L."""

_BLOCK = 10_000  # rows that are made at once
_EACH = 100  # pictures of a category
_SEED = 0


class Made:
    """The centres of the categories for ``rows`` pictures in both spaces."""

    def __init__(self, rows: int) -> None:
        self._rng = np.random.default_rng(_SEED)
        self._spaces = []
        for dim in (CLIP, VISION):
            varies = (1 + np.arange(dim, dtype=np.float32)) ** -0.25
            varies /= np.linalg.norm(varies)
            centres = self._normal(max(10, rows // _EACH), dim) * varies
            cone = 0.8 * normalized(self._normal(1, dim))
            if dim == CLIP:
                cone[0, :2] += 0.4
            self._spaces.append((centres, cone.astype(np.float32), varies))

    def _normal(self, rows: int, dim: int) -> Array:
        return self._rng.standard_normal((rows, dim), dtype=np.float32)

    def vectors(self, of: np.ndarray, noise: tuple[float, float]) -> tuple[Array, Array]:
        """Unit rows near the categories ``of`` (n,) in both spaces."""
        clip, vision = (
            normalized(centres[of] + cone + share * self._normal(len(of), len(varies)) * varies)
            for (centres, cone, varies), share in zip(self._spaces, noise, strict=True)
        )
        return clip, vision

    def gallery(self, rows: int, file: Path) -> tuple[Array, Array]:
        """Write ``rows`` pictures to ``file``, and return them mapped: (N, 768) and (N, 1024)."""
        arrays = create(file, {"clip": ((rows, CLIP), "f4"), "vision": ((rows, VISION), "f4")})
        starts = range(0, rows, _BLOCK)
        for first in track(starts, f"make {rows:,} rows", "blocks"):
            some = slice(first, min(first + _BLOCK, rows))
            of = self.categories(some.stop - some.start)
            arrays["clip"][some], arrays["vision"][some] = self.vectors(of, (0.8, 0.8))
        found = mapped(file)
        return np.asarray(found["clip"]), np.asarray(found["vision"])

    def categories(self, count: int) -> np.ndarray:
        """``count`` categories, drawn at random."""
        return self._rng.integers(0, len(self._spaces[0][0]), count)

    def queries(self, count: int, fusion_weight: float) -> Asked:
        """Queries of as many categories, by text and by imagined pictures."""
        return Asked(*self.vectors(self.categories(count), (1.0, 0.5)), fusion_weight)

    def hubness(self, rows: int) -> Hubness:
        """A correction of the size that real ones have."""
        return Hubness(*(0.05 * self._rng.random((2, rows), dtype=np.float32)))
