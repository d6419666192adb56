"""Scores many queries in a large gallery, in blocks that fit into memory.

A product of queries and pictures costs far more than what follows from it. So it is computed once
for all the ways to rank that are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from components.index.blocks import BLOCK, blocks
from components.index.gallery import Gallery
from components.vectors import Array

_AT_ONCE = 2**22  # fused scores: few enough for the caches to help, enough for several threads


class Way(NamedTuple):
    """A way to rank for Q queries: their aggregated embeddings (Q, d_vision), a λ, and a gallery
    whose correction for hubness is subtracted."""

    gallery: Gallery
    aggregated: Array
    fusion_weight: float


def scored(text: Array, ways: Sequence[Way]) -> Iterator[tuple[int, slice, Array]]:
    """The fused scores of the queries ``text`` (Q, d_clip) by each of ``ways``, in pieces.

    A piece is the number of a way, some of the queries, and their scores (q, N). The galleries of
    all ways must have the same pictures. The similarities by text are computed once for all ways,
    and those by image once for neighbours that share their ``aggregated``. Memory holds at most two
    blocks of similarities (:func:`components.index.blocks.blocks`) and one piece of 2**22 scores.
    """
    if not ways:
        return
    clip, vision = ways[0].gallery.clip, ways[0].gallery.vision
    for block in blocks(len(text), len(clip), BLOCK):
        by_text, by_image, before = text[block] @ clip.T, None, None
        for number, (gallery, every, fusion_weight) in enumerate(ways):
            aggregated = every[block]
            if by_image is None or every is not before:
                del by_image  # before the next is made, so that there is one at a time
                by_image, before = aggregated @ vision.T, every
            imagined = np.asarray(aggregated.any(axis=1))
            for some in blocks(len(by_text), len(clip), _AT_ONCE):
                rows = slice(block.start + some.start, block.start + some.stop)
                yield (
                    number,
                    rows,
                    gallery.fuse(
                        by_text[some], by_image[some], imagined[some], fusion_weight
                    ).fused,
                )
