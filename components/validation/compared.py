"""Which pictures of the dataset were compared with all others, and which of them are copies.

That follows from their contents and their categories. So `inspect` keeps what it found in a file,
`.eidolon/compared.safetensors`, and the next time compares only what is new, with all. The file
may be deleted at any time: then all are compared again.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import kept_arrays

_CONTENT, _CATEGORY = 64, 32  # characters of a key: of the SHA-256 of each
_KEY = _CONTENT + _CATEGORY

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Compared:
    """Pictures by their ``keys`` (N,), each once: see :func:`keys_of`.

    ``new`` (N,) tells which were not compared with all others. Of those that were, each of
    ``other`` (M,) is a copy of the one in ``one`` (M,). Both are places in ``keys``.
    """

    keys: list[str]
    new: npt.NDArray[np.bool_]
    one: Rows
    other: Rows

    def among(self, keys: list[str]) -> Compared:
        """The same of ``keys``, which are new if they are not in ``self``."""
        places = pd.Index(keys, dtype=object).get_indexer(pd.Index(self.keys, dtype=object))
        new = np.ones(len(keys), dtype=bool)
        new[places[(places >= 0) & ~self.new]] = False
        one, other = places[self.one], places[self.other]
        here = (one >= 0) & (other >= 0)
        return Compared(keys, new, one[here], other[here])


def keys_of(digests: Iterable[str], categories: Iterable[str]) -> list[str]:
    """A key for each picture, which names its content, of a SHA-256 in hex, and its category."""
    names = functools.cache(lambda name: hashlib.sha256(name.encode()).hexdigest()[:_CATEGORY])
    return [digest + names(name) for digest, name in zip(digests, categories, strict=True)]


def nothing() -> Compared:
    """No pictures."""
    none = np.zeros(0, dtype=np.intp)
    return Compared([], none.astype(bool), none, none)


def read(file: Path, made_by: str) -> Compared:
    """What :func:`write` wrote. It is nothing if ``file`` is missing or damaged, or if something
    else than ``made_by`` made it."""
    arrays = kept_arrays.read(file, made_by)
    if arrays is None:
        return nothing()
    text = arrays["keys"].tobytes().hex()
    keys = [text[at : at + _KEY] for at in range(0, len(text), _KEY)]
    return Compared(keys, np.zeros(len(keys), dtype=bool), arrays["one"], arrays["other"])


def write(file: Path, compared: Compared, made_by: str) -> None:
    """Keep ``compared``, of which nothing is new, as made by ``made_by``: the parameters and the
    code."""
    keys = np.frombuffer(bytes.fromhex("".join(compared.keys)), np.uint8).reshape(-1, _KEY // 2)
    kept_arrays.write(file, {"keys": keys, "one": compared.one, "other": compared.other}, made_by)
