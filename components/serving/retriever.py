"""Answers queries: for a known category from the bundle, for any other text by imagining it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from components import config, names
from components.errors import QueryError
from components.images.encoding import encode
from components.imagining.generator import Generator
from components.index.gallery import top
from components.models.encoders import ClipEncoder, VisionEncoder
from components.serving.loading import Bundle

MAX_QUERY = 300  # characters
MAX_K = 1000
DIGITS = 6  # decimals of a score in an answer
Imagination = tuple[np.ndarray, list[bytes], list[int]]
"""The aggregated embedding (d_vision,) of a text, its imagined pictures as PNG, and their seeds."""


@dataclass(frozen=True)
class ScoredPicture:
    """One gallery picture in an answer.

    ``score`` fuses ``text_score`` and ``image_score``, minus ``hubness``
    (:mod:`components.index.gallery`), which is 0 unless the query is a known category. Numbers have
    :data:`DIGITS` decimals. ``source`` is the owner's name for the picture, empty for a picture
    that was drawn.
    """

    rank: int
    id: str
    category: str
    source: str
    score: float
    text_score: float
    image_score: float
    hubness: float


@dataclass(frozen=True)
class Answer:
    """The answer to a query.

    ``known`` tells whether the query is a known category. ``imagined`` are the imagined pictures
    behind the answer, as ids in the bundle or as PNG bytes, and ``seeds`` are their seeds.
    """

    query: str
    known: bool
    fusion_weight: float
    hits: list[ScoredPicture]
    imagined: list[str | bytes]
    seeds: list[int]


class Retriever:
    """Searches a bundle, with the models that it was made with."""

    def __init__(
        self,
        bundle: Bundle,
        generator: config.Generator,
        encoders: config.Encoders,
        remembered: int = 1,
    ) -> None:
        """``remembered`` is the number of imagined texts whose vectors and pictures are kept."""
        self.bundle = bundle
        self._templates = encoders.text_templates
        self._clip = ClipEncoder(encoders.clip, encoders.clip_revision, share=encoders.memory_share)
        self._vision = VisionEncoder(
            encoders.vision, encoders.vision_revision, share=encoders.memory_share
        )
        self._generator = Generator(generator)
        self._imagining = threading.Lock()  # there is one pipeline: one generation at a time
        self._imagined = lru_cache(remembered)(self._imagine)
        known = bundle.categories["category"]
        self._known = {names.fold(name): row for row, name in enumerate(known)}

    def search(self, query: str, k: int) -> Answer:
        """Find the ``k`` best gallery pictures for ``query``.

        Raises :class:`QueryError` for a query that is empty or too long, and for a ``k`` out of
        range.
        """
        words = names.query_text(query)
        if not words or len(words) > MAX_QUERY:
            raise QueryError(f"a query has 1 to {MAX_QUERY} characters")
        if not 1 <= k <= MAX_K:
            raise QueryError(f"k is between 1 and {MAX_K}, not {k}")
        imagined: list[str | bytes]
        row = self._known.get(names.fold(query))
        if row is not None:
            gallery = self.bundle.gallery
            text, aggregated = self.bundle.text[row], self.bundle.aggregated[row]
            imagined = list(self.bundle.categories["pictures"][row].split())
            seeds = [int(s) for s in self.bundle.categories["seeds"][row].split()]
        else:
            gallery = self.bundle.gallery.uncorrected
            text = self._clip.describe([words], self._templates)[0]
            with self._imagining:  # so that equal queries at the same time share one generation
                aggregated, pictures, seeds = self._imagined(words)
            imagined = list(pictures)
        fusion_weight = self.bundle.aggregator.fusion_weight
        scores = gallery.score(text[None], aggregated[None], fusion_weight)
        table = self.bundle.pictures
        hits = [
            ScoredPicture(
                rank=rank,
                id=table["path"][i],
                category=table["category"][i],
                source=table["source"][i],
                score=_clean(scores.fused[0, i]),
                text_score=_clean(scores.text[0, i]),
                image_score=_clean(scores.image[0, i]),
                hubness=_clean(scores.hubness[0, i]),
            )
            for rank, i in enumerate(top(scores.fused[0], k).tolist(), 1)
        ]
        return Answer(query, row is not None, fusion_weight, hits, imagined, seeds)

    def _imagine(self, words: str) -> Imagination:
        """The aggregated embedding (d,), the pictures as PNG, and their seeds, for a text."""
        count = self._generator.params.images_per_category
        pictures, seeds = self._generator.imagine(words, count)
        features = torch.from_numpy(self._vision.images(pictures))
        with torch.inference_mode():
            aggregated = self.bundle.aggregator(features[None])[0].numpy()
        return aggregated, [encode(picture, "PNG") for picture in pictures], seeds


def _clean(score: np.floating) -> float:
    """The score with the digits that float32 holds: 0.6 instead of 0.6000000238418579."""
    return round(float(score), DIGITS)
