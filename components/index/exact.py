"""The exact engine: every score in float32, as the evaluation computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.index.blocks import blocks
from components.index.engine import Asked, Engine, Found, Rows
from components.index.gallery import Gallery, Hubness, Scores, streams_of, top
from components.vectors import Array


class Exact(Engine):
    """Multiplies the queries with all rows. It keeps nothing beside the rows."""

    def search(
        self,
        asked: Asked,
        k: int,
        among: Rows | None = None,
        hubness: Hubness | None = None,
        streams: int = 0,
    ) -> list[Found]:
        """See :meth:`Engine.search`."""
        correction = (0.0, 0.0) if hubness is None else hubness
        gallery = Gallery(self.clip, self.vision, *correction)
        found = []
        for queries in blocks(len(asked.text), len(self)):
            part = asked.part(queries)
            scores = gallery.score(part.text, part.aggregated, part.fusion_weight)
            found += [
                self._best(part, query, scores, k, among, streams)
                for query in range(len(part.text))
            ]
        return found

    def _best(
        self, asked: Asked, query: int, scores: Scores, k: int, among: Rows | None, best: int
    ) -> Found:
        fused, text, image, hubness = (part[query] for part in scores)
        if asked.excluded is not None:
            fused = fused - np.float32(asked.strength) * (self.clip @ asked.excluded[query])
        rows = top(fused, k) if among is None else among[top(fused[among], k)]
        by_image = image if asked.aggregated[query].any() else None
        apart = streams_of(text, by_image, best) if best else None
        return Found(rows, fused[rows], text[rows], image[rows], hubness[rows], apart)

    def updated(self, clip: Array, vision: Array, was: Rows) -> Exact:
        """See :meth:`Engine.updated`."""
        return Exact(clip, vision)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """See :meth:`Engine.arrays`."""
        return {}
