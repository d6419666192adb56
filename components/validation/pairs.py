"""Finds all pairs of similar pictures among N, without comparing each with each.

Both searches are exact: they leave out only pairs that cannot be similar.

* By colour: an orthonormal projection never moves two points apart, so a pair that is far apart
  along a few principal components is far apart. Pictures are put into boxes of neighbours along
  these components, as in a k-d tree. Only boxes within the radius of each other are compared, by
  one matrix product.
* By outline: two hashes of 64 bits that differ in at most b bits differ in at most b / 4 in one of
  four parts (Norouzi, Punjani and Fleet, Fast Exact Search in Hamming Space with Multi-Index
  Hashing, TPAMI 2014). So each hash is compared only with those that have nearly the same part.

Memory grows with N and the pairs of one step, not with all pairs. The time is quadratic at worst:
when most pictures are within the radius of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]
Small = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]
Outlines = npt.NDArray[np.uint64]

_COMPONENTS = 24  # principal components that a pair is compared by first
_LEADING = 6  # those by which single pictures are left out
_BOX = 256  # pictures in a box, at most
_STEP = 4096  # pictures that a box is compared with at once
_SAMPLE = 1 << 15  # pictures that the components are those of, at least if there are so many
_PARTS, _PART_BITS = 4, 16
_MOST_FLIPS, _FEW = 2, 0.04  # beyond these bits of a part, or this share of all pairs: by colour
_PROBED = 1 << 18  # pairs of hashes that are compared at once
_EXACT = 1 << 16  # pairs whose exact distance is computed at once


class Pairs(NamedTuple):
    """Pairs of pictures by their rows, each pair once, and the exact squared Euclidean distances
    of their thumbnails, in levels of 255."""

    one: Rows
    other: Rows
    squared: npt.NDArray[np.int64]


def by_colour(small: Small, radius: float, new: Mask | None = None) -> Iterator[Pairs]:
    """Yield the pairs of thumbnails (N, D) that are at most ``radius`` apart, in levels of 255.

    With an infinite ``radius``, yields all pairs. With ``new`` (N,), yields only pairs of which at
    least one is new.
    """
    fresh, rest = _divided(new, len(small))
    if not len(fresh):
        return
    project = _projection(small)
    left = _boxed(project(small, fresh), fresh, _BOX)
    yield from _close(small, left, left, radius)
    if len(rest):  # in as many boxes, since the boxes of few new ones are soon compared
        most = max(_BOX, _BOX * len(rest) // len(fresh))
        yield from _close(small, left, _boxed(project(small, rest), rest, most), radius)


def by_outline(
    outlines: Outlines, bits: int, new: Mask | None = None
) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs of hashes (N,) that differ in at most ``bits`` bits, each pair once.

    With ``new`` (N,), yields only pairs of which at least one is new.
    """
    fresh, rest = _divided(new, len(outlines))
    if len(fresh):
        parts = _parts(outlines)
        yield from _alike(outlines, parts, bits, fresh, fresh)
        yield from _alike(outlines, parts, bits, fresh, rest)


def prefer_outlines(outlines: Outlines, bits: int, new: Mask | None = None) -> bool:
    """Whether :func:`by_outline` compares few enough of all pairs to be the faster search.

    Pictures on a plain ground have hashes with many equal parts.
    """
    if bits // _PARTS > _MOST_FLIPS:
        return False
    fresh, _ = _divided(new, len(outlines))
    compared = 0
    for part in _parts(outlines).T:
        ones, others = (
            np.bincount(some, minlength=1 << _PART_BITS).astype(np.int64)
            for some in (part[fresh], part)
        )
        values = np.arange(1 << _PART_BITS)
        compared += sum(int(ones @ others[values ^ flip]) for flip in _flips(bits // _PARTS))
    return compared <= _FEW * len(fresh) * len(outlines)


def squared_distances(small: Small, one: Rows, other: Rows) -> npt.NDArray[np.int64]:
    """(M,): the exact squared distances of M pairs of thumbnails (N, D), in levels of 255."""
    found = np.empty(len(one), dtype=np.int64)
    for start in range(0, len(one), _EXACT):
        part = slice(start, start + _EXACT)
        apart = small[one[part]].astype(np.int32) - small[other[part]]
        found[part] = np.einsum("ij,ij->i", apart, apart)
    return found


def _measured(small: Small, one: Rows, other: Rows, radius: float) -> Iterator[Pairs]:
    if len(one):
        squared = squared_distances(small, one, other)
        near = squared <= radius**2
        yield Pairs(one[near], other[near], squared[near])


def _divided(new: Mask | None, count: int) -> tuple[Rows, Rows]:
    """The rows that are ``new``, and the others. All are new without ``new``."""
    if new is None:
        new = np.ones(count, dtype=bool)
    return np.flatnonzero(new), np.flatnonzero(~new)


class _Boxed(NamedTuple):
    """Points (N, C) in an order in which neighbours make boxes, the ``rows`` that they had before,
    where each of B boxes starts and ends, its bounds (B, C), and half the points' squares (N, 1).
    """

    points: Points
    rows: Rows
    starts: Rows
    ends: Rows
    low: Points
    high: Points
    half: npt.NDArray[np.float64]


def _close(small: Small, left: _Boxed, right: _Boxed, radius: float) -> Iterator[Pairs]:
    """Yield the pairs across ``left`` and ``right``, or each pair once if both are the same."""
    same = left is right
    rounding = 1e-5 * max(left.half.max(), right.half.max()) + 1  # of single precision
    one_side = np.hstack([left.points, np.ones_like(left.half), -left.half]).astype(np.float32)
    other_side = np.hstack([right.points, -right.half, np.ones_like(right.half)]).astype(np.float32)
    least = np.float32(-(radius**2) / 2 - rounding)
    for box, (start, end) in enumerate(zip(left.starts, left.ends, strict=True)):
        low, high, first = left.low[box], left.high[box], box if same else 0
        near = _apart(right.low[first:], right.high[first:], low, high) <= radius
        spans = [np.arange(right.starts[b], right.ends[b]) for b in first + np.flatnonzero(near)]
        among = np.concatenate([*spans, np.arange(0)])
        lead = right.points[among, :_LEADING]
        among = among[_apart(lead, lead, low[:_LEADING], high[:_LEADING]) <= radius]
        for at in range(0, len(among), _STEP):
            part = among[at : at + _STEP]
            one, other = np.nonzero(one_side[start:end] @ other_side[part].T >= least)
            one, other = one + start, part[other]
            if same:
                one, other = one[one < other], other[one < other]
            yield from _measured(small, left.rows[one], right.rows[other], radius)


def _projection(small: Small) -> Callable[[Small, Rows], Points]:
    """What projects rows of thumbnails (N, D) to their leading principal components: (M, C).

    The axes are those of a sample. Any axes are exact.
    """
    some = small[:: max(1, len(small) // _SAMPLE)]
    mean = some.mean(axis=0, dtype=np.float64)
    apart = some - mean
    axes = np.linalg.eigh(apart.T @ apart)[1][:, ::-1][:, :_COMPONENTS]

    def project(small: Small, rows: Rows) -> Points:
        blocks = [rows[at : at + _EXACT] for at in range(0, len(rows), _EXACT)]
        return np.concatenate([((small[b] - mean) @ axes).astype(np.float32) for b in blocks])

    return project


def _boxed(points: Points, rows: Rows, most: int) -> _Boxed:
    """``points`` (N, C) of ``rows`` in boxes of at most ``most``.

    As in a k-d tree, a set is halved along the axis on which it is widest until it fits in a box.
    """
    done: list[Rows] = []
    left: list[Rows] = [np.arange(len(points))]
    while left:
        some = left.pop()
        if len(some) <= most:
            done.append(some)
            continue
        inside = points[some]
        axis = int(inside.std(axis=0).argmax())
        halves = np.argpartition(inside[:, axis], len(some) // 2)
        left += [some[halves[len(some) // 2 :]], some[halves[: len(some) // 2]]]
    order = np.concatenate(done)
    points, ends = points[order], np.cumsum([len(some) for some in done])
    starts = np.append(0, ends[:-1])
    low = np.minimum.reduceat(points, starts)
    high = np.maximum.reduceat(points, starts)
    half = (points.astype(np.float64) ** 2).sum(axis=1, keepdims=True) / 2
    return _Boxed(points, rows[order], starts, ends, low, high, half)


def _alike(
    outlines: Outlines, parts: npt.NDArray[np.uint16], bits: int, ones: Rows, others: Rows
) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs across the rows ``ones`` and ``others`` of hashes, or each pair once if both
    are the same."""
    most = bits // _PARTS
    for number in range(_PARTS):
        left = ones[np.argsort(parts[ones, number], kind="stable")]
        right = left if others is ones else others[np.argsort(parts[others, number], kind="stable")]
        values, hashes, compared = parts[left, number], outlines[left], outlines[right]
        bounds = np.searchsorted(parts[right, number], np.arange((1 << _PART_BITS) + 1))
        for flip in _flips(most):
            wanted = (values ^ flip).astype(np.intp)
            first, end = bounds[wanted], bounds[wanted + 1]
            if others is ones:
                first = first if flip else np.arange(1, len(left) + 1)
                end = np.where(wanted >= values, end, first)
            for one, other in expanded(first, end - first):
                near = np.bitwise_count(hashes[one] ^ compared[other]) <= bits
                one, other = left[one[near]], right[other[near]]
                before = np.bitwise_count(parts[one, :number] ^ parts[other, :number])
                new = ~(before <= most).any(axis=1)  # else an earlier part had it
                yield one[new], other[new]


def _apart(low: Points, high: Points, box_low: Points, box_high: Points) -> Points:
    """(M,): a little less than the distances of M boxes, (M, C) each, to one box, (C,) each."""
    gap = np.maximum(np.maximum(low - box_high, box_low - high), 0)
    found: Points = np.sqrt((gap**2).sum(axis=1)) * np.float32(1 - 1e-5)
    return found - np.float32(0.01)  # rounding of the points themselves


def _parts(outlines: Outlines) -> npt.NDArray[np.uint16]:
    """(N, 4): parts of 16 bits each. Neighbouring bits, which are alike, go to different parts."""
    bits = np.unpackbits(outlines.view(np.uint8).reshape(-1, 8), axis=1)
    mixed = bits[:, np.random.default_rng(0).permutation(64)]
    return np.ascontiguousarray(np.packbits(mixed, axis=1)).view(np.uint16)


def _flips(most: int) -> list[int]:
    """All numbers of 16 bits with at most ``most`` ones."""
    return [
        sum(1 << bit for bit in bits)
        for count in range(most + 1)
        for bits in combinations(range(_PART_BITS), count)
    ]


def expanded(first: Rows, counts: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs of each row i with the rows from ``first[i]`` on, ``counts[i]`` of them."""
    rows = np.flatnonzero(counts)
    first, counts = first[rows], counts[rows]
    ends = np.cumsum(counts)
    start = 0
    while start < len(rows):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PROBED, side="right")))
        some = counts[start:stop]
        one = np.repeat(rows[start:stop], some)
        shift = np.repeat(first[start:stop] - (ends[start:stop] - some) + done, some)
        yield one, np.arange(len(one)) + shift
        start = stop
