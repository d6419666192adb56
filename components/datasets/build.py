"""The stage `dataset`: from an adapter to a class-per-folder tree with a manifest.

data/dataset/gallery/<category>/<number>.png     what is searched: all categories
data/dataset/training/<category>/<number>.png    what training sees: no unseen category
data/dataset/manifest.csv                        path, category, split, subset
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from components import config, manifest
from components.datasets import emblems, folder
from components.datasets.source import Source
from components.errors import EidolonError
from components.files import folder_aside
from components.paths import DATASET
from components.progress import track


def build(params: config.Dataset, out: Path = DATASET) -> pd.DataFrame:
    """Write the dataset of ``params`` to ``out`` and return its manifest.

    Raises :class:`EidolonError` for an empty source, an empty category or an unreadable picture;
    ``out`` then stays as it was.
    """
    sources = list(_sources(params))
    if not sources:
        raise EidolonError("the dataset has no categories: check dataset.source in params.yaml")
    rows = []
    with folder_aside(out) as aside:
        for source in track(sources, "dataset", "categories"):
            for subset, pictures in (("gallery", source.gallery), ("training", source.training)):
                slug = source.category.replace(" ", "_").replace("/", "_")
                for i, draw in enumerate(pictures):
                    path = Path(subset) / slug / f"{i:04d}.png"
                    (aside / path).parent.mkdir(parents=True, exist_ok=True)
                    draw().save(aside / path)
                    rows.append((path.as_posix(), source.category, source.split, subset))
        frame = pd.DataFrame(rows, columns=list(manifest.DATASET_COLUMNS))
        manifest.write(aside, frame)
    return frame


def _sources(params: config.Dataset) -> Iterable[Source]:
    match params.adapter:
        case "emblems":
            return emblems.sources(
                params.seed, params.gallery_per_category, params.training_per_category
            )
        case "folder":
            if params.source is None:
                raise EidolonError("dataset.source in params.yaml must name a folder of categories")
            return folder.sources(
                params.source,
                params.seed,
                params.gallery_per_category,
                params.training_per_category,
            )
