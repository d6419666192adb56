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

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.intp]
Small = npt.NDArray[np.uint8]

_COMPONENTS = 24  # principal components that a pair is compared by first
_LEADING = 6  # those by which single pictures are left out
_BOX = 256  # pictures in a box, at most
_STEP = 4096  # pictures that a box is compared with at once
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


def by_colour(small: Small, radius: float) -> Iterator[Pairs]:
    """Yield the pairs of thumbnails (N, D) that are at most ``radius`` apart, in levels of 255.

    With an infinite ``radius``, yields all pairs.
    """
    if len(small) < 2:
        return
    points, order, starts = _boxes(_projected(small))
    ends = np.append(starts[1:], len(points))
    low = np.minimum.reduceat(points, starts)
    high = np.maximum.reduceat(points, starts)
    half = (points.astype(np.float64) ** 2).sum(axis=1, keepdims=True) / 2
    rounding = 1e-5 * float(half.max()) + 1  # of products in single precision
    ones = np.ones_like(half)
    left = np.hstack([points, ones, -half]).astype(np.float32)
    right = np.hstack([points, -half, ones]).astype(np.float32)
    least = np.float32(-(radius**2) / 2 - rounding)
    for box, start in enumerate(starts):
        near = box + np.flatnonzero(_apart(low[box:], high[box:], low[box], high[box]) <= radius)
        among = np.concatenate([np.arange(starts[b], ends[b]) for b in near])
        lead = points[among, :_LEADING]
        inside = _apart(lead, lead, low[box, :_LEADING], high[box, :_LEADING]) <= radius
        among, rows = among[inside], slice(start, ends[box])
        for at in range(0, len(among), _STEP):
            part = among[at : at + _STEP]
            one, other = np.nonzero(left[rows] @ right[part].T >= least)
            one, other = one + start, part[other]
            twice = one >= other
            yield from _measured(small, order[one[~twice]], order[other[~twice]], radius)


def by_outline(outlines: npt.NDArray[np.uint64], bits: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the pairs of hashes (N,) that differ in at most ``bits`` bits, each pair once."""
    parts = _parts(outlines)
    flips = _flips(bits // _PARTS)
    for number in range(_PARTS):
        order = np.argsort(parts[:, number], kind="stable")
        values, hashes = parts[order, number], outlines[order]
        starts = np.searchsorted(values, np.arange((1 << _PART_BITS) + 1))
        for flip in flips:
            wanted = values ^ flip
            first = starts[wanted] if flip else np.arange(1, len(order) + 1)
            counts = np.where(wanted >= values, starts[wanted.astype(np.intp) + 1] - first, 0)
            for one, other in _expanded(first, counts):
                near = np.bitwise_count(hashes[one] ^ hashes[other]) <= bits
                one, other = order[one[near]], order[other[near]]
                before = np.bitwise_count(parts[one, :number] ^ parts[other, :number])
                new = ~(before <= bits // _PARTS).any(axis=1)  # else an earlier part had it
                yield one[new], other[new]


def prefer_outlines(outlines: npt.NDArray[np.uint64], bits: int) -> bool:
    """Whether :func:`by_outline` compares few enough of all pairs to be the faster search.

    Pictures on a plain ground have hashes with many equal parts.
    """
    if bits // _PARTS > _MOST_FLIPS:
        return False
    compared = 0
    for part in _parts(outlines).T:
        counts = np.bincount(part, minlength=1 << _PART_BITS).astype(np.int64)
        values = np.arange(1 << _PART_BITS)
        compared += sum(int(counts @ counts[values ^ flip]) for flip in _flips(bits // _PARTS))
    return compared <= _FEW * len(outlines) ** 2


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


def _projected(small: Small) -> npt.NDArray[np.float32]:
    """(N, C): the leading principal components of the thumbnails (N, D)."""
    mean = small.mean(axis=0, dtype=np.float64)
    total = np.zeros((small.shape[1], small.shape[1]))
    blocks = [slice(at, at + _EXACT) for at in range(0, len(small), _EXACT)]
    for block in blocks:
        apart = small[block] - mean
        total += apart.T @ apart
    axes = np.linalg.eigh(total)[1][:, ::-1][:, :_COMPONENTS]
    return np.concatenate([((small[b] - mean) @ axes).astype(np.float32) for b in blocks])


def _boxes(
    points: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], Rows, Rows]:
    """``points`` (N, C) in an order in which neighbours make boxes, the rows that they had before,
    and where each box starts.

    As in a k-d tree, a set is halved along the axis on which it is widest until it fits in a box.
    """
    done: list[Rows] = []
    left: list[Rows] = [np.arange(len(points))]
    while left:
        rows = left.pop()
        if len(rows) <= _BOX:
            done.append(rows)
            continue
        inside = points[rows]
        axis = int(inside.std(axis=0).argmax())
        halves = np.argpartition(inside[:, axis], len(rows) // 2)
        left += [rows[halves[len(rows) // 2 :]], rows[halves[: len(rows) // 2]]]
    order = np.concatenate(done)
    starts = np.cumsum([0, *(len(rows) for rows in done[:-1])])
    return points[order], order, starts


def _apart(
    low: npt.NDArray[np.float32],
    high: npt.NDArray[np.float32],
    box_low: npt.NDArray[np.float32],
    box_high: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """(M,): a little less than the distances of M boxes, (M, C) each, to one box, (C,) each."""
    gap = np.maximum(np.maximum(low - box_high, box_low - high), 0)
    found: npt.NDArray[np.float32] = np.sqrt((gap**2).sum(axis=1)) * np.float32(1 - 1e-5)
    return found - np.float32(0.01)  # rounding of the points themselves


def _parts(outlines: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
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


def _expanded(first: Rows, counts: Rows) -> Iterator[tuple[Rows, Rows]]:
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
