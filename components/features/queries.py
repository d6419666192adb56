"""The queries for the categories of a dataset, as features, and how a name and a description are
combined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.vectors import Array

Bools = npt.NDArray[np.bool_]


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


def combined(names: Queries, descriptions: Queries) -> Queries:
    """The queries by name and description together.

    The text embedding is the mean of both. Half of the K pictures are imagined of the descriptions,
    and the others of the name, so that this costs no more than each by itself. A category without a
    description has zeros.
    """
    exist, half = descriptions.exist, names.accepted.shape[1] // 2
    first = names.accepted.shape[1] - half
    imagined = np.concatenate(
        [names.imagined[:, :first], descriptions.imagined[:, :half]], axis=1, dtype=np.float32
    )
    accepted = np.concatenate([names.accepted[:, :first], descriptions.accepted[:, :half]], axis=1)
    text = (names.text + descriptions.text) / np.float32(2)
    return Queries(
        text * exist[:, None], imagined * exist[:, None, None], accepted & exist[:, None]
    )
