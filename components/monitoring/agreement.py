"""How far a model agrees with the marks that people gave: a validation set of their own.

For each query that has pictures marked right and pictures marked wrong, it counts how often a right
one scores above a wrong one. That needs no other judgement of the gallery: pictures that nobody
judged do not count, so a model is not punished for finding them. People judge what an earlier model
showed first. So the figure compares models, and is no measure of quality by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from components import config, names
from components.imagining.identity import identity
from components.imagining.memory import Memory
from components.imagining.recipes import Identity, address_of, recipe_of, wanted
from components.index.gallery import Gallery
from components.learning.aggregator import Aggregator
from components.learning.intervals import Estimate, Floats, bootstrap
from components.monitoring.texts import Embed
from components.serving.loading import Bundle
from components.vectors import Array

Rows = npt.NDArray[np.intp]

Imagined = Callable[[str], Array | None]
"""A query to its aggregated embedding (d_vision,), or ``None`` if nothing is imagined for it."""


@dataclass(frozen=True)
class Ranker:
    """What scores pictures for a text.

    ``rows`` are those of the pictures of ``gallery`` by the hash of their pixels. Row i of ``text``
    (C, d_clip) and ``aggregated`` (C, d_vision) is that of category i of ``categories``. Other
    texts are embedded by ``embed``, and imagined by ``imagined``.
    """

    gallery: Gallery
    rows: Mapping[str, int]
    categories: list[str]
    text: Array
    aggregated: Array
    fusion_weight: float
    embed: Embed
    imagined: Imagined

    @classmethod
    def of(
        cls, bundle: Bundle, pixels: Mapping[str, str], embed: Embed, imagined: Imagined
    ) -> Ranker:
        """What ``bundle`` serves. ``pixels`` has the hash of each picture's pixels by its path."""
        paths = enumerate(bundle.pictures["path"])
        return cls(
            gallery=bundle.gallery,
            rows={pixels[path]: row for row, path in paths if path in pixels},
            categories=bundle.categories["category"].tolist(),
            text=bundle.text,
            aggregated=bundle.aggregated,
            fusion_weight=bundle.aggregator.fusion_weight,
            embed=embed,
            imagined=imagined,
        )

    def scores(self, marks: pd.DataFrame) -> Floats:
        """(N,): the fused score of the picture of each of N marks for its query, or NaN where the
        gallery has no such picture. ``marks`` has the columns query and pixels."""
        known = {names.fold(name): row for row, name in enumerate(self.categories)}
        found = np.full(len(marks), np.nan)
        at = np.array([self.rows.get(pixels, -1) for pixels in marks["pixels"]], dtype=np.intp)
        for query, places in marks.reset_index(drop=True).groupby("query").groups.items():
            judged = np.array([i for i in places if at[i] >= 0], dtype=np.intp)
            if judged.size:
                row = known.get(names.fold(str(query)))
                found[judged] = self._fused(str(query), row, at[judged])
        return found

    def _fused(self, query: str, row: int | None, judged: Rows) -> Array:
        """The scores of the pictures ``judged`` of the gallery, and of no others."""
        gallery = _only(self.gallery, judged)
        if row is not None:
            vectors = self.text[row], self.aggregated[row]
        else:
            pictured = self.imagined(query)
            nothing = np.zeros(self.aggregated.shape[1], dtype=np.float32)
            vectors = self.embed([query])[0], nothing if pictured is None else pictured
            gallery = gallery.uncorrected
        return gallery.score(vectors[0][None], vectors[1][None], self.fusion_weight).fused[0]


def _only(gallery: Gallery, rows: Rows) -> Gallery:
    """The pictures ``rows`` of ``gallery``, with the hubness that they have in all of it."""
    hubness = (
        np.broadcast_to(np.asarray(part, dtype=np.float32), len(gallery.clip))[rows]
        for part in (gallery.clip_hubness, gallery.vision_hubness)
    )
    return Gallery(gallery.clip[rows], gallery.vision[rows], *hubness)


def remembered_for(bundle: Bundle, file: Path, limit: int) -> Imagined:
    """What the service remembers in ``file``, as it drew for ``bundle``. ``limit`` is that of
    :class:`Memory`.

    Raises :class:`EidolonError` when the bundle's generator is not here, which names its pictures.
    """
    if not file.is_file():
        return lambda query: None
    models = bundle.info["models"]
    generator = config.Generator.model_validate(bundle.info["generator"])
    drawn = identity(generator) | {"model": models["generator"]}
    memory = Memory(file, f"{models['vision']} {models['clip']}", limit)
    return remembered(memory, generator, drawn, bundle.aggregator)


def remembered(
    memory: Memory, params: config.Generator, drawn: Identity, aggregator: Aggregator
) -> Imagined:
    """Imagined pictures that ``memory`` still has, for texts that were searched before.

    ``params`` and ``drawn`` say how the service draws: see
    :func:`components.imagining.identity.identity`. Nothing is drawn here.
    """

    def imagined(query: str) -> Array | None:
        pictures = wanted(params, [query])
        at = [address_of(recipe_of(one.prompt, one.seed, drawn)) for one in pictures]
        seen = [one.vision for one in memory.get(at).values() if not one.refused]
        if not seen:
            return None
        with torch.inference_mode():
            aggregated: Array = aggregator(torch.from_numpy(np.stack(seen))[None])[0].numpy()
        return aggregated

    return imagined


@dataclass(frozen=True)
class Agreement:
    """``pairs`` is the mean over queries of how often a right picture scores above a wrong one, 0.5
    being chance. ``queries`` had both, ``marks`` pictures in all."""

    pairs: Estimate
    queries: int
    marks: int


def agreement(
    marks: pd.DataFrame, scores: Floats, samples: int, seed: int, least: int
) -> Agreement:
    """How far ``scores`` (N,) agree with N ``marks``, whose columns are query and right.

    A pair with equal scores counts half: for each query this is the area under the ROC curve (Mann
    and Whitney 1947). Marks whose score is NaN are left out. The interval is a bootstrap over
    queries; with fewer than ``least`` there is none. With equal marks, ``samples`` and ``seed``,
    the estimates of two models can be subtracted resample by resample.
    """
    right = (marks["right"] == "1").to_numpy()
    judged = np.isfinite(scores)
    found, used = [], 0
    for _, places in marks.reset_index(drop=True).groupby("query").groups.items():
        rows = np.array([i for i in places if judged[i]], dtype=np.intp)
        good, bad = scores[rows[right[rows]]], scores[rows[~right[rows]]]
        if good.size and bad.size:
            gap = good[:, None] - bad[None]
            found.append(float((gap > 0).mean() + (gap == 0).mean() / 2))
            used += len(rows)
    estimate = bootstrap(np.array(found), samples=samples, seed=seed, least=least)
    return Agreement(estimate, len(found), used)
