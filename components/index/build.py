"""Builds the index: the gallery, with a hubness correction from the queries of its categories."""

from __future__ import annotations

import numpy as np

from components.features.features import Features
from components.index.gallery import Gallery
from components.vectors import Array


def build_index(features: Features, aggregated: Array, temperature: float) -> Gallery:
    """The gallery, with a hubness correction from the queries of all its categories.

    The query bank holds every category in the gallery, seen in training or not. So each picture's
    own query is in it, and the correction prefers neither. ``aggregated`` (C, d_vision) is the
    result of :func:`components.learning.aggregator.aggregate`. ``temperature`` is that of
    :func:`components.index.hubness.hubness`.
    """
    known = np.unique(features.labels(features.gallery))
    return Gallery.with_query_bank(
        features.gallery_clip,
        features.gallery_vision,
        features.text[known],
        aggregated[known],
        temperature,
    )
