"""The stage `embed`: encodes every picture, and every category's name and descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from components import config, descriptions, manifest
from components.errors import EidolonError
from components.features.features import Features
from components.features.queries import Bools, Queries
from components.files import folder_aside
from components.images import decoding
from components.kinds import CLASS, DESCRIPTION, DRAWN, Kind
from components.models.encoders import ClipEncoder, VisionEncoder, load_encoders
from components.paths import ACCEPTED, DATASET, FEATURES
from components.progress import track
from components.vectors import Array


def embed(
    params: config.Encoders,
    dataset: Path = DATASET,
    accepted: Path = ACCEPTED,
    out: Path = FEATURES,
) -> Features:
    """Encode pictures and names, write the features to ``out`` and return them.

    Both encoders, CLIP and vision, encode the gallery and training pictures. The vision encoder
    encodes the accepted imagined pictures, and CLIP's text encoder the categories' names.

    Raises :class:`EidolonError` when a file is missing or damaged, when there are no pictures of
    one kind, or for imagined pictures of an unknown category.
    """
    clip, vision = load_encoders(params)
    frame = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    categories = frame[["category", "split"]].drop_duplicates("category", ignore_index=True)

    sides: dict[str, tuple[pd.DataFrame, Array, Array]] = {}
    for subset in ("gallery", "training"):
        rows = frame.loc[frame["subset"] == subset, ["path", "category", "source"]]
        part = rows.reset_index(drop=True)
        both = encode([dataset / p for p in part["path"]], subset, clip, vision)
        sides[subset] = (part, both[0], both[1])

    drawn = manifest.read(accepted, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    unknown = set(drawn["category"]) - set(categories["category"])
    if unknown:
        raise EidolonError(
            f"imagined pictures of {sorted(unknown)[:3]} belong to no category of the dataset:"
            " run `dvc repro generate`"
        )
    (vectors,) = encode([accepted / p for p in drawn["path"]], "imagined", vision)
    names = categories["category"]
    grids = gridded(drawn, vectors, names)
    texts, described = descriptions.load(dataset), None
    if texts:
        text = described_text(clip, names, texts, params.description_templates)
        described = Queries(text, *grids[DESCRIPTION])
    features = Features(
        categories=categories,
        gallery=sides["gallery"][0],
        training=sides["training"][0],
        text=clip.describe(names.tolist(), params.text_templates),
        imagined=grids[CLASS][0],
        accepted=grids[CLASS][1],
        gallery_clip=sides["gallery"][1],
        gallery_vision=sides["gallery"][2],
        training_clip=sides["training"][1],
        training_vision=sides["training"][2],
        described=described,
    )
    with folder_aside(out) as aside:
        features.save(aside)
    return features


def described_text(
    clip: ClipEncoder,
    categories: Iterable[str],
    texts: Mapping[str, Sequence[str]],
    templates: Sequence[str],
) -> Array:
    """The text embedding of each category's descriptions, (C, d_clip): the mean over all of them,
    by all ``templates``. Zero for a category without a description."""
    names = list(categories)
    flat = [(row, text) for row, name in enumerate(names) for text in texts.get(name, ())]
    vectors = clip.describe([text for _, text in flat], templates)
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


def encode(files: Sequence[Path], what: str, *encoders: ClipEncoder | VisionEncoder) -> list[Array]:
    """Read each picture once, no larger than the encoders need it, and encode it with all of them.

    Returns (N, d) float32 for each encoder, with rows of length one. ``what`` names the pictures in
    the progress lines. Raises :class:`EidolonError` when there are none, or one is damaged.
    """
    if not files:
        raise EidolonError(f"there are no {what} pictures to embed: add pictures to the dataset")
    batch = max(encoder.batch for encoder in encoders)
    sides = [encoder.side for encoder in encoders]
    side = None if None in sides else max(s for s in sides if s is not None)
    read = (decoding.decode(f, side=side) for f in track(files, f"embed {what}", "pictures"))
    parts: list[list[Array]] = [[] for _ in encoders]
    for images in decoding.grouped(read, batch):
        for encoder, collected in zip(encoders, parts, strict=True):
            collected.append(encoder.images(images))
    return [np.concatenate(p) for p in parts]
