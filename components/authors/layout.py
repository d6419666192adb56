"""Reads the authors' feature files: where they are, what they hold, and in which order.

This re-implements the rules of their evaluation (github.com/faixan-khan/cletir). Features are used
as they are stored, and those of queries are rounded to float32. The text embedding of a class is
the mean over its prompts, and is not normalised again. Query ``i`` is the ``i``-th class in the
dictionary of imagined pictures.

ImageNet is an exception: it follows CLIP's list of 1,000 names (imagenet.txt: Radford et al., ICML
2021; openai/CLIP, MIT). Two of these names stand for two classes each, so the keys of a dictionary
cannot give the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from components.authors.arrays import Array, read_arrays
from components.authors.choices import Method, TextModel, VisionModel
from components.authors.pickles import fault, shown
from components.errors import EidolonError
from components.files import read_json
from components.learning.metrics import Ints

SETS = (
    *("imagenet", "dtd", "cars", "sun", "food", "fgvc", "pets", "caltech", "flowers", "ucf"),
    *("k700", "r45", "cifar10", "cifar100", "places"),
)
_REMEDY = "fetch the authors' features again"
# what numpy may raise for a damaged file: it parses the header as Python literals
_DAMAGE = (
    *(ValueError, TypeError, OverflowError, SyntaxError, TokenError),
    *(EOFError, OSError, MemoryError, RecursionError),
)
_ABSURD = 1e15  # far above any feature, and far below the largest float32
_IMAGENET = Path(__file__).with_name("imagenet.txt")

Matrix = npt.NDArray[np.float64]
Stored = npt.NDArray[Any]
"""Numbers in the type of their file."""

_SUFFIX = {Method.CLASS: "", Method.DESCRIPTION: "_dbr", Method.BOTH: "_classdbr"}


@dataclass(frozen=True)
class Files:
    """The five files of one set."""

    name: str
    text: Path
    images: Path
    gallery_text: Path
    gallery_vision: Path
    truth: Path

    def missing(self) -> Path | None:
        """The first file that is missing, if any."""
        paths = (self.text, self.images, self.gallery_text, self.gallery_vision, self.truth)
        return next((path for path in paths if not path.is_file()), None)


def files(root: Path, name: str, model: TextModel, vision: VisionModel, method: Method) -> Files:
    """The files of the set ``name`` under ``root``."""
    folder, kind = root / "aggregator", _SUFFIX[method]
    return Files(
        name=name,
        text=folder / model / f"{name}_clip_q_text{kind}.pkl",
        images=folder / vision / f"{name}_{vision}_q_img{kind}.pkl",
        gallery_text=folder / model / f"{name}_val_clip_db.npy",
        gallery_vision=folder / vision / f"{name}_val_{vision}_db.npy",
        truth=folder / f"{name}_val_cfg.json",
    )


@dataclass(frozen=True)
class Features:
    """The features of one set: Q queries and N gallery pictures."""

    name: str
    text: Matrix
    """(Q, d_text): the mean over each class's prompts."""
    images: list[Matrix]
    """For each query (K, d_vision): its imagined pictures; K may differ."""
    gallery_text: Stored
    """(N, d_text), memory-mapped from its file."""
    gallery_vision: Stored
    """(N, d_vision), memory-mapped from its file."""
    positive: list[Ints]
    """For each query, the rows of the gallery that it should find."""
    junk: list[Ints]
    """For each query, the rows of the gallery to ignore. The published sets have none."""


def load(files: Files) -> Features:
    """Read the features of one set.

    Raises :class:`EidolonError` when a file is damaged, holds a pickled class that arrays do not
    need, or does not fit the other files.
    """
    images, texts = read_arrays(files.images), read_arrays(files.text)
    names = _order(images)
    if absent := [name for name in names if name not in texts]:
        raise EidolonError(f"{files.text} lacks the class '{shown(absent[0])}': {_REMEDY}")
    gallery_text, gallery_vision = _gallery(files.gallery_text), _gallery(files.gallery_vision)
    if len(gallery_text) != len(gallery_vision):
        raise EidolonError(
            f"{files.gallery_text} has {len(gallery_text)} rows and {files.gallery_vision}"
            f" {len(gallery_vision)}: {_REMEDY}"
        )
    text = np.stack([_text(texts[name], gallery_text.shape[1], files.text, name) for name in names])
    drawn = [_images(images[name], gallery_vision.shape[1], files.images, name) for name in names]
    truth = _truth(files.truth, len(names))
    positive, junk = (_rows(truth, key, len(gallery_text), files.truth) for key in ("ok", "junk"))
    return Features(files.name, text, drawn, gallery_text, gallery_vision, positive, junk)


def _order(images: dict[str, Any]) -> list[str]:
    """The names of the classes in the order of the queries."""
    imagenet = _IMAGENET.read_text().splitlines()
    return imagenet if set(imagenet) <= images.keys() else list(images)


def _numbers(values: Stored, path: Path, what: str) -> Stored:
    if values.dtype.kind not in "fiu":
        raise EidolonError(f"{path} holds {what} of type {values.dtype}, not of numbers: {_REMEDY}")
    lowest, highest = float(values.min(initial=0)), float(values.max(initial=0))
    if not -_ABSURD < lowest <= highest < _ABSURD:
        raise EidolonError(f"{path} holds {what} that are not finite or absurdly large: {_REMEDY}")
    return values


def _rounded(values: Stored) -> Matrix:
    return values.astype(np.float32).astype(np.float64)


def _gallery(path: Path) -> Stored:
    """The matrix (N, d) of a `.npy`. It is memory-mapped, because a header may claim any size."""
    try:
        values = np.lib.format.open_memmap(path, mode="r")
    except _DAMAGE as error:
        raise EidolonError(f"{path} is damaged ({fault(error)}): {_REMEDY}") from None
    if values.ndim != 2:
        raise EidolonError(f"{path} holds no matrix of features: {_REMEDY}")
    return _numbers(values, path, "features")


def _named(name: str) -> str:
    return f"features of the class '{shown(name)}'"


def _values(value: Any, path: Path, name: str) -> Stored:
    if not isinstance(value, Array) or value.values is None:
        raise EidolonError(f"{path} holds no array for the class '{shown(name)}': {_REMEDY}")
    return value.values


def _text(value: Any, dim: int, path: Path, name: str) -> Matrix:
    """The text embedding (d,) of a class: a stored vector, or the mean of a stored prompts × d."""
    values = _numbers(_values(value, path, name), path, _named(name))
    if values.ndim not in (1, 2) or values.shape[-1] != dim or not values.size:
        raise _misfit(path, name, values, f"({dim},) or (prompts, {dim})")
    return np.atleast_2d(_rounded(values)).mean(axis=0)


def _images(value: Any, dim: int, path: Path, name: str) -> Matrix:
    """The features (K, d) of a query's pictures.

    They are stored as d × K, as the first element of an array or a list.
    """
    if isinstance(value, list | tuple) and value:
        values = _values(value[0], path, name)
    else:
        values = _values(value, path, name)
        values = values[0] if len(values.shape) and len(values) else values
    if values.ndim != 2 or values.shape[0] != dim or not values.size:
        raise _misfit(path, name, values, f"({dim}, pictures)")
    return _rounded(_numbers(values, path, _named(name))).T


def _misfit(path: Path, name: str, values: Stored, expected: str) -> EidolonError:
    return EidolonError(
        f"{path} holds an array of shape {values.shape} for the class '{shown(name)}', not"
        f" {expected} as the gallery's features need: {_REMEDY}"
    )


def _truth(path: Path, queries: int) -> list[dict[str, Any]]:
    """The ground truth of each query, empty for a query that the file does not name."""
    found = read_json(path, _REMEDY)
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise EidolonError(f"{path} is no table of queries: {_REMEDY}")
    known = {str(i) for i in range(queries)}
    if odd := next((key for key in found if key not in known), None):
        raise EidolonError(
            f"{path} names the query '{shown(odd)}', but there are {queries}: {_REMEDY}"
        )
    return [found.get(str(i), {}) for i in range(queries)]


def _rows(truth: Iterable[dict[str, Any]], key: str, gallery: int, path: Path) -> list[Ints]:
    rows = []
    for query, entry in enumerate(truth):
        listed = entry.get(key)
        if listed is None:
            listed = []
        if not (isinstance(listed, list) and all(type(row) is int for row in listed)):
            raise EidolonError(f"{path} lists no rows under {key!r} of query {query}: {_REMEDY}")
        if not all(0 <= row < gallery for row in listed) or len(set(listed)) != len(listed):
            raise EidolonError(
                f"{path} lists rows under {key!r} of query {query} that are not {gallery} distinct"
                f" rows of the gallery: {_REMEDY}"
            )
        rows.append(np.array(listed, dtype=np.intp))
    return rows
