"""The stage `embed`: the features of every picture, and of every category's name and descriptions.

Only what the store of features lacks is encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components import config, descriptions, manifest
from components.arrays import Shapes, create
from components.errors import EidolonError
from components.features.encoding import Encoding, describe
from components.features.features import FILE, Features
from components.features.queries import Bools, Queries, to_arrays
from components.features.segments import Keys
from components.features.store import Encoder, FeatureStore, keys
from components.files import folder_aside
from components.kinds import CLASS, DESCRIPTION, DRAWN, Kind
from components.models.lazy import LazyClip, lazy_encoders
from components.paths import ACCEPTED, DATASET, FEATURES
from components.progress import note
from components.vectors import Array


def embed(
    params: config.Encoders,
    dataset: Path = DATASET,
    accepted: Path = ACCEPTED,
    out: Path = FEATURES,
) -> Features:
    """Encode pictures and names, write the features to ``out`` and return them.

    Both encoders, CLIP and vision, encode the gallery and training pictures. The vision encoder
    encodes the accepted imagined pictures, and CLIP's text encoder the categories' names. What the
    store of features has is taken from there: neither the picture nor the encoder is opened.

    Raises :class:`EidolonError` when a file is missing or damaged, when there are no pictures of
    one kind, or for imagined pictures of an unknown category.
    """
    (clip, vision), store = lazy_encoders(params), FeatureStore()
    frame = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    categories = frame[["category", "split"]].drop_duplicates("category", ignore_index=True)
    drawn = manifest.read(accepted, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    unknown = set(drawn["category"]) - set(categories["category"])
    if unknown:
        raise EidolonError(
            f"imagined pictures of {sorted(unknown)[:3]} belong to no category of the dataset:"
            " run `dvc repro generate`"
        )
    parts = {name: frame[frame["subset"] == name] for name in ("gallery", "training")}
    work = {
        name: Encoding(*pictures(dataset, rows), name, (clip, vision), store, reduced=True).fill()
        for name, rows in parts.items()
    }
    imagined = Encoding(*pictures(accepted, drawn), "imagined", (vision,), store).fill()
    names = categories["category"]
    grids = gridded(drawn, imagined.rows(0), names)
    texts, described = descriptions.load(dataset), None
    if texts:
        text = described_text(clip, names, texts, params.description_templates)
        described = Queries(text, *grids[DESCRIPTION])
    queries = Queries(describe(clip, names.tolist(), params.text_templates), *grids[CLASS])
    with folder_aside(out) as aside:
        # mapped, so that a million pictures need no memory of their size
        small = {**vars(queries), **to_arrays(described)}
        shapes = {name: (array.shape, array.dtype) for name, array in small.items()}
        arrays = create(aside / FILE, {**shapes, **_shapes(work, clip, vision)})
        for name, array in small.items():
            arrays[name][...] = array
        found: dict[str, Any] = {"categories": categories}
        for name, side in work.items():
            for i, encoder in enumerate((clip, vision)):
                column = f"{name}_{encoder.kind}"
                found[column] = side.rows(i, arrays[column])
        for name, rows in parts.items():
            found[name] = rows[["path", "category", "source"]].reset_index(drop=True)
        Features(**found, **vars(queries), described=described).save_tables(aside)
    every = [*work.values(), imagined]
    encoded, total = sum(w.encoded for w in every), sum(len(w.fine) for w in every)
    note(f"embed: {encoded:,} of {total:,} pictures encoded")
    return Features.load(out)


def _shapes(work: Mapping[str, Encoding], *encoders: Encoder) -> Shapes:
    """The shapes and types of the features of each of ``work`` by each encoder."""
    found = {}
    for name, side in work.items():
        for i, encoder in enumerate(encoders):
            shape, kind = side.row(i)
            found[f"{name}_{encoder.kind}"] = (len(side.fine), *shape), kind
    return found


def pictures(folder: Path, rows: pd.DataFrame) -> tuple[list[Path], Keys]:
    """The files of the pictures in ``rows`` of a manifest, and their keys (N, 32)."""
    return [folder / path for path in rows["path"]], keys(rows["sha256"])


def described_text(
    clip: LazyClip,
    categories: Iterable[str],
    texts: Mapping[str, Sequence[str]],
    templates: Sequence[str],
) -> Array:
    """The text embedding of each category's descriptions, (C, d_clip): the mean over all of them,
    by all ``templates``. Zero for a category without a description."""
    names = list(categories)
    flat = [(row, text) for row, name in enumerate(names) for text in texts.get(name, ())]
    vectors = describe(clip, [text for _, text in flat], templates)
    rows = np.array([row for row, _ in flat])
    found = np.zeros((len(names), vectors.shape[1]), dtype=np.float32)
    for row in np.unique(rows):
        found[row] = vectors[rows == row].mean(axis=0)
    return found


def gridded(
    drawn: pd.DataFrame, vectors: Array, categories: pd.Series
) -> dict[Kind, tuple[Array, Bools]]:
    """``vectors`` (N, d) of the pictures ``drawn``, which have a category and a kind, as one row
    for each of ``categories``: for each kind (C, K, d), zero where a category has fewer pictures of
    that kind, and where it has some (C, K)."""
    many = int(drawn.groupby(["category", "kind"]).size().max())
    found: dict[Kind, tuple[Array, Bools]] = {}
    for kind in DRAWN:
        at = np.flatnonzero(drawn["kind"] == kind)
        of = drawn["category"].iloc[at]
        row = pd.Index(categories).get_indexer(pd.Index(of))
        place = of.groupby(of).cumcount().to_numpy()
        grid = np.zeros((len(categories), many, vectors.shape[1]), dtype=np.float32)
        mask = np.zeros(grid.shape[:2], dtype=bool)
        grid[row, place], mask[row, place] = vectors[at], True
        found[kind] = grid, mask
    return found
