"""Encodes the pictures that `validate` and `embed` read, a share of them on each accelerator.

The rows go into the store of features, where those stages find them. So this is no stage of
dvc.yaml: without it, `validate` and `embed` encode the same pictures by themselves.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components import config, manifest
from components.errors import EidolonError
from components.features.embed import pictures
from components.features.encoding import Encoding
from components.features.segments import Keys
from components.features.store import FeatureStore
from components.models.lazy import lazy_encoders
from components.paths import DATASET, IMAGINED
from components.validation.measure import encoding_of_imagined


def encode(
    shard: int,
    params: config.Params,
    dataset: Path = DATASET,
    imagined: Path = IMAGINED,
    store: FeatureStore | None = None,
) -> tuple[int, int]:
    """Encode the pictures of one of ``generator.shards``, and store their rows. Returns how many
    were encoded, and of how many.

    A picture's hash decides its shard, so the shards are of one size, and each picture is in one of
    them. Raises :class:`EidolonError` for an unknown shard, and when a file is missing or damaged.
    """
    shards = params.generator.shards
    if shard not in shards:
        raise EidolonError(f"generator.shards has no {shard}: give one of {list(shards)}")
    store = store or FeatureStore()
    encoders, work = lazy_encoders(params.encoders), list[Encoding]()
    frame = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    files, keys = _own(shard, len(shards), *pictures(dataset, frame))
    if files:
        work.append(Encoding(files, keys, "dataset", encoders, store, reduced=True).fill())
    frame = manifest.read(imagined, manifest.IMAGINED_COLUMNS, "dvc repro generate")
    files, keys = _own(shard, len(shards), *pictures(imagined, frame))
    if files:
        work.append(encoding_of_imagined(files, keys, encoders, store).fill())
    return sum(part.encoded for part in work), sum(len(part.fine) for part in work)


def _own(shard: int, count: int, files: list[Path], keys: Keys) -> tuple[list[Path], Keys]:
    """Those of N ``files``, and of their ``keys`` (N, 32), that are in one of ``count`` shards."""
    number = np.ascontiguousarray(keys[:, :8]).view(np.uint64)[:, 0]
    own = np.flatnonzero(number % np.uint64(count) == shard)
    return [files[i] for i in own], keys[own]
