"""Embeddings in 8 bits, with how far off each may be: what a quantised search reads instead.

A row x is stored as ``centre + scale·c`` with whole numbers c from -127 to 127, one scale a row,
and the length of what that leaves out. The centre takes away what all rows share, such as the few
large numbers in every embedding of CLIP. A query is rounded in the same way. By Cauchy and Schwarz,
``<x, q>`` then differs from what the codes give by at most ``|x - x̂|·|q| + |x̂ - centre|·|q - q̂|``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numkong
import numpy as np
import numpy.typing as npt

from components.index.blocks import blocks
from components.index.parallel import PART, each
from components.vectors import Array

_LARGEST = 127
_FEW = 2  # vectors that are faster compared one by one than as a packed matrix
_OF_ROWS = ("values", "scale", "error", "length")
_BLOCK = 1024  # rows that are encoded at once
ROUNDING = 4e-6
"""More than ten roundings to float32 take away from a score, as a share of what is added up."""

Rows = npt.NDArray[np.intp]


class Question(NamedTuple):
    """Q vectors of one space, rounded to codes; the arrays are (Q, 1).

    ``values`` (Q, d) are the codes, which are ``packed`` too where there are many. ``scale`` is
    what they are multiplied with, and ``offset`` the similarity to the centre. ``length`` is that
    of the vectors, and ``lost`` that of what the codes leave out. ``rounding`` is what float32 may
    add to that.
    """

    values: npt.NDArray[np.int8]
    packed: numkong.PackedMatrix | None
    scale: Array
    offset: Array
    length: Array
    lost: Array
    rounding: Array


@dataclass(frozen=True)
class Codes:
    """The rows of one space: ``values`` (N, d) in 8 bits, the ``scale``, ``error`` and ``length``
    (N,) of each, and the ``centre`` (d,). ``error`` is ``|x - x̂|``, ``length`` ``|x̂ - centre|``."""

    values: npt.NDArray[np.int8]
    scale: Array
    error: Array
    length: Array
    centre: Array

    @classmethod
    def of(cls, rows: Array, centre: Array | None = None) -> Codes:
        """The codes of ``rows`` (N, d), around their mean unless a ``centre`` (d,) is given."""
        if centre is None:
            centre = _mean(rows)
        values = np.empty(rows.shape, dtype=np.int8)
        scale, error, length = np.empty((3, len(rows)), dtype=np.float32)

        def encode(some: slice) -> None:
            values[some], scale[some], error[some], length[some] = _encoded(rows[some] - centre)

        each(encode, list(blocks(len(rows), 1, _BLOCK)))
        return cls(values, scale, error, length, centre)

    @classmethod
    def loaded(cls, arrays: Mapping[str, npt.NDArray], space: str) -> Codes:
        """The codes among ``arrays`` that :meth:`arrays` named."""
        return cls(*(np.asarray(arrays[f"{space}_{name}"]) for name in cls.__annotations__))

    def arrays(self, space: str) -> dict[str, npt.NDArray]:
        """Everything, named for the file of an index."""
        return {f"{space}_{name}": value for name, value in vars(self).items()}

    def updated(self, rows: Array, was: Rows, order: Rows | None = None) -> Codes:
        """The codes of ``rows`` (M, d), in their order or in another ``order`` (M,).

        Code i of the result is row ``was[i]`` here, or computed where that is -1.
        """
        new = np.flatnonzero(was < 0)
        added = Codes.of(rows[new if order is None else order[new]], self.centre)
        found = {}
        for name in _OF_ROWS:
            mine, theirs = getattr(self, name), getattr(added, name)
            array = np.empty((len(was), *mine.shape[1:]), dtype=mine.dtype)
            if len(mine):
                np.take(mine, was, axis=0, mode="clip", out=array)
            array[new] = theirs
            found[name] = array
        return Codes(**found, centre=self.centre)

    def taken(self, rows: Rows) -> Codes:
        """The codes of some rows, in their order."""
        taken = {name: getattr(self, name)[rows] for name in _OF_ROWS}
        return Codes(**taken, centre=self.centre)

    def question(self, vectors: Array) -> Question:
        """``vectors`` (Q, d) as queries."""
        exact = vectors.astype(np.float64)
        scale = _steps(np.abs(exact).max(axis=1, keepdims=True, initial=0))
        values = np.rint(exact / scale)
        length = np.linalg.norm(exact, axis=1, keepdims=True)
        lost = np.linalg.norm(exact - values * scale, axis=1, keepdims=True)
        centre = self.centre.astype(np.float64)
        found = (
            scale,
            exact @ centre[:, None],
            length,
            lost + ROUNDING * length,
            ROUNDING * length * np.linalg.norm(centre),
        )
        codes = values.astype(np.int8)
        packed = numkong.dots_pack(codes, dtype="int8") if len(codes) > _FEW else None
        return Question(codes, packed, *(array.astype(np.float32) for array in found))

    def scores(self, rows: slice, question: Question) -> tuple[Array, Array]:
        """What the codes of n ``rows`` give for Q vectors, and how far off it is at most: both
        (Q, n)."""
        values = self.values[rows]
        if question.packed is None:
            dots = np.asarray(numkong.cdist(question.values, values, "dot"))
        else:
            dots = np.asarray(numkong.dots_packed(values, question.packed)).T
        found = dots.astype(np.float32, order="C")
        found *= self.scale[rows]
        found *= question.scale
        found += question.offset
        off = question.length * self.error[rows]
        off += question.lost * self.length[rows]
        off += question.rounding
        return found, off


def _mean(rows: Array) -> Array:
    total = np.zeros(rows.shape[1])
    for some in blocks(len(rows), 1, PART):
        total += rows[some].sum(axis=0, dtype=np.float64)
    return (total / max(1, len(rows))).astype(np.float32)


def _steps(largest: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """What one step of a code stands for, when the largest number is ``largest``."""
    return np.where(largest > 0, largest / _LARGEST, 1).astype(largest.dtype)


def _encoded(rows: Array) -> tuple[npt.NDArray[np.int8], Array, Array, Array]:
    """Codes, scale, error and length of ``rows`` (n, d) without the centre."""
    scale = _steps(np.abs(rows).max(axis=1, initial=0))
    values = np.rint(rows / scale[:, None])
    np.clip(values, -_LARGEST, _LARGEST, out=values)
    near = values * scale[:, None]
    left, length = _lengths(rows - near), _lengths(near)
    # the factor and the share of the length cover what float32 loses here
    error = left * np.float32(1.001) + np.float32(1e-6) * (left + length)
    return values.astype(np.int8), scale, error, length * np.float32(1.001)


def _lengths(rows: Array) -> Array:
    squares: Array = np.einsum("nd,nd->n", rows, rows)
    return np.sqrt(squares)
