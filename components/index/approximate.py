"""The approximate engine: reads the codes of the nearest parts of the gallery only.

The rows are grouped around centroids in both spaces together (an inverted file: Jégou et al.,
"Product Quantization for Nearest Neighbor Search", TPAMI 2011, section 4), and the codes of a group
lie together. A search reads the groups whose centroids score best, fused and by each similarity
alone. What it reads is scored as the quantised engine does: hubness and filters apply before the
best are chosen, and the scores are exact. How many groups that takes for the wanted recall is
measured on sample queries when the index is built, and kept with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.index.blocks import blocks
from components.index.codes import Codes
from components.index.engine import Asked, Rows
from components.index.gallery import top
from components.index.moments import Moments
from components.index.parallel import PART
from components.index.quantised import Quantised
from components.index.scan import Mask
from components.vectors import Array

_SAMPLE = 64  # rows for each group that the groups are found from
_ROUNDS = 8  # of k-means
_BLOCK = 2**13  # rows that are assigned to their groups at once
_DEPTH = 20  # of the best pictures, how many are counted for the recall


class Approximate(Quantised):
    """A quantised index in groups.

    ``group`` (N,) is the group of each row, ``order`` (N,) are the rows by group, and ``centroids``
    (G, d_clip + d_vision) the means. Each search reads ``reads`` groups for each way to rank.
    ``recall`` is the measured share of the true best 20 that it finds.
    """

    def __init__(
        self,
        clip: Array,
        vision: Array,
        codes: tuple[Codes, Codes],
        moments: Moments,
        group: npt.NDArray[np.int32],
        centroids: Array,
        reads: int,
        recall: float,
    ) -> None:
        """``codes`` are in the order of the groups."""
        super().__init__(clip, vision, codes, moments)
        self._group, self._centroids = group, centroids
        self._order = np.argsort(group, kind="stable")
        self._ends = np.cumsum(np.bincount(group, minlength=len(centroids)))
        self.reads, self.recall = reads, recall

    @classmethod
    def grouped(cls, exact: Quantised, wanted: float, samples: Asked, seed: int) -> Approximate:
        """The rows of ``exact`` in groups, of which a search reads as many as it takes.

        ``samples`` are queries such as will be asked. The recall on them is at least ``wanted``.
        """
        count = max(1, round(len(exact) ** 0.5))
        centroids = _centroids(exact.clip, exact.vision, count, seed)
        group = _nearest(exact.clip, exact.vision, centroids)
        order = np.argsort(group, kind="stable")
        clip, vision = exact.codes
        codes = clip.taken(order), vision.taken(order)
        found = cls(exact.clip, exact.vision, codes, exact.moments, group, centroids, 1, 1.0)
        best = [set(one.rows.tolist()) for one in exact.search(samples, _DEPTH)]
        while True:
            found.recall = _recall(found, samples, best)
            if found.recall >= wanted or found.reads >= count:
                return found
            found.reads = min(2 * found.reads, count)

    @classmethod
    def loaded(cls, clip: Array, vision: Array, arrays: Mapping[str, npt.NDArray]) -> Approximate:
        """See :meth:`Quantised.loaded`."""
        base = Quantised.loaded(clip, vision, arrays)
        group, centroids = np.asarray(arrays["group"]), np.asarray(arrays["centroids"])
        reads, recall = arrays["reading"]
        return cls(
            clip, vision, base.codes, base.moments, group, centroids, int(reads), float(recall)
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """See :meth:`Engine.arrays`."""
        own = {"group": self._group, "centroids": self._centroids}
        return {**super().arrays(), **own, "reading": np.array([self.reads, self.recall])}

    def described(self) -> dict[str, Any]:
        """See :meth:`Engine.described`."""
        reading = {"groups": len(self._centroids), "reads": self.reads}
        return {**super().described(), **reading, "recall": round(self.recall, 4)}

    def updated(self, clip: Array, vision: Array, was: Rows) -> Approximate:
        """See :meth:`Engine.updated`. The groups, what is read and the recall stay as they are."""
        new = np.flatnonzero(was < 0)
        group = np.take(self._group, was, mode="clip")
        group[new] = _nearest(clip[new], vision[new], self._centroids)
        order = np.argsort(group, kind="stable")
        place = np.empty(len(self), dtype=np.intp)
        place[self._order] = np.arange(len(self))
        stored = np.where(was < 0, -1, place[was])[order]
        codes = (
            self.codes[0].updated(clip, stored, order),
            self.codes[1].updated(vision, stored, order),
        )
        moments = self._following(clip, was)
        return Approximate(
            clip, vision, codes, moments, group, self._centroids, self.reads, self.recall
        )

    def _batches(self, asked: Asked) -> Iterator[Asked]:
        """One query at a time, since each has its own groups."""
        return asked.parts(1)

    def _read(self, asked: Asked, k: int, passing: Mask | None, streams: int) -> Sequence[slice]:
        """The codes of the groups that are nearest, and hold ``k`` rows that pass."""
        dim = self.clip.shape[1]
        by_text = self._centroids[:, :dim] @ asked.text[0]
        by_image = self._centroids[:, dim:] @ asked.aggregated[0]
        weight = asked.weights[0]
        fused = (1 - weight) * by_text + weight * by_image
        if asked.excluded is not None:
            strength = np.float32(asked.strength)
            fused = fused - strength * (self._centroids[:, :dim] @ asked.excluded[0])
        passes = self._group if passing is None else self._group[passing]
        held = np.bincount(passes, minlength=len(fused))
        near = [self._enough(fused, held, k)]
        if streams:
            held = np.diff(self._ends, prepend=0)
            near += [self._enough(scores, held, streams) for scores in (by_text, by_image)]
        return _runs(np.unique(np.concatenate(near)), self._ends)

    def _enough(self, scores: Array, held: Rows, k: int) -> Rows:
        """The groups with the largest ``scores`` (G,): those that a search reads, and more until
        they hold ``k`` rows. Of each, ``held`` (G,) are as many; empty ones do not count."""
        filled = np.flatnonzero(held)
        nearest = filled[top(scores[filled], len(filled))]
        least = np.searchsorted(np.cumsum(held[nearest]), k) + 1
        return nearest[: max(self.reads, int(least))]


def _runs(groups: Rows, ends: Rows) -> list[slice]:
    """The codes of ``groups``, ascending; neighbours are read together, long runs in parts."""
    found: list[slice] = []
    if not groups.size:
        return found
    for run in np.split(groups, np.flatnonzero(np.diff(groups) > 1) + 1):
        first = int(ends[run[0] - 1]) if run[0] else 0
        count = int(ends[run[-1]]) - first
        found += [slice(first + some.start, first + some.stop) for some in blocks(count, 1, PART)]
    return found


def _centroids(clip: Array, vision: Array, count: int, seed: int) -> Array:
    """The centres (G, d_clip + d_vision) of ``count`` groups, by k-means on a sample of rows."""
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(clip), min(len(clip), _SAMPLE * count), replace=False))
    both = np.concatenate([clip[rows], vision[rows]], axis=1)
    model = KMeans(count, init="random", n_init=1, max_iter=_ROUNDS, random_state=seed)
    found: Array = model.fit(both).cluster_centers_.astype(np.float32)
    return found


def _nearest(clip: Array, vision: Array, centroids: Array) -> npt.NDArray[np.int32]:
    """The group of each row: whose centroid is the least Euclidean distance away."""
    dim = clip.shape[1]
    half = (centroids**2).sum(axis=1) / 2
    found = np.empty(len(clip), dtype=np.int32)
    for some in blocks(len(clip), 1, _BLOCK):
        scores = clip[some] @ centroids[:, :dim].T + vision[some] @ centroids[:, dim:].T
        found[some] = (scores - half).argmax(axis=1)
    return found


def _recall(index: Approximate, samples: Asked, best: Sequence[set[int]]) -> float:
    """The mean share of the ``best`` of each query that ``index`` finds; 1 without any."""
    found = index.search(samples, _DEPTH)
    shares = [
        len(true.intersection(one.rows.tolist())) / len(true)
        for true, one in zip(best, found, strict=True)
        if true
    ]
    return float(np.mean(shares)) if shares else 1.0
