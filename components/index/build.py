"""Building the index: the gallery, corrected by the queries of all its categories."""

from __future__ import annotations

import numpy as np

from components.features.features import Features
from components.index.gallery import Gallery
from components.vectors import Array


def build_index(features: Features, aggregated: Array, temperature: float) -> Gallery:
    """The gallery, corrected by the queries of all its categories.

    The bank holds every category that is searched, seen in training or not, so the correction
    prefers neither: each picture's own query is in it. ``aggregated`` (C, d_vision) is what
    :func:`aggregate` gives.
    """
    known = np.unique(features.labels(features.gallery))
    return Gallery.with_query_bank(
        features.gallery_clip,
        features.gallery_vision,
        features.text[known],
        aggregated[known],
        temperature,
    )
