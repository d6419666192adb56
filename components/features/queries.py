"""The queries for the categories of a dataset, as features, and how a name and a description are
combined. Training, evaluation, bundle and service all combine them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.vectors import Array

Bools = npt.NDArray[np.bool_]

_PREFIX = "description_"


@dataclass(frozen=True)
class Queries:
    """A query for each of C categories, with K imagined pictures.

    ``text`` is (C, d_clip). ``imagined`` is (C, K, d_vision), zero where ``accepted`` (C, K) is
    false. A category without such a query has zeros.
    """

    text: Array
    imagined: Array
    accepted: Bools

    @property
    def exist(self) -> Bools:
        """The categories (C,) that have such a query."""
        return np.asarray(self.text.any(axis=1))

    def of(self, rows: Bools | npt.NDArray[np.intp]) -> Queries:
        """The queries for the categories ``rows`` alone."""
        return Queries(self.text[rows], self.imagined[rows], self.accepted[rows])


def to_arrays(described: Queries | None) -> dict[str, Array | Bools]:
    """The arrays of the queries by description, by the names under which files keep them."""
    return {} if described is None else {_PREFIX + k: v for k, v in vars(described).items()}


def from_arrays(arrays: Mapping[str, Any]) -> Queries | None:
    """What :func:`to_arrays` gave, found among other arrays. Raises ``TypeError`` when a part of it
    is missing or unknown."""
    found = {k.removeprefix(_PREFIX): v for k, v in arrays.items() if k.startswith(_PREFIX)}
    return Queries(**found) if found else None


def of_name(count: int) -> int:
    """How many of the ``count`` pictures of a query by both are imagined of the name: the first
    half, and one more of an odd number. The others are imagined of descriptions."""
    return count - count // 2


def mean_text(name: Array, description: Array) -> Array:
    """The text embedding of a query by both: (d_clip,), or (C, d_clip) for C queries."""
    return (name + description) / np.float32(2)


def combined(names: Queries, descriptions: Queries) -> Queries:
    """The queries by name and description together.

    The pictures are shared out as :func:`of_name` says, so that this costs no more than each by
    itself. A category without a description has zeros.
    """
    exist, many = descriptions.exist, names.accepted.shape[1]
    first, half = of_name(many), many - of_name(many)
    imagined = np.concatenate(
        [names.imagined[:, :first], descriptions.imagined[:, :half]], axis=1, dtype=np.float32
    )
    accepted = np.concatenate([names.accepted[:, :first], descriptions.accepted[:, :half]], axis=1)
    text = mean_text(names.text, descriptions.text)
    return Queries(
        text * exist[:, None], imagined * exist[:, None, None], accepted & exist[:, None]
    )
