"""The stage `imagine`: draws the pictures of one shard."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from components import config, manifest
from components.errors import EidolonError
from components.files import folder_aside
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.recipes import Wanted
from components.imagining.shards import PLAN_COLUMNS, read_table
from components.imagining.store import Store
from components.paths import IMAGINED, PLAN, SHARDS


def imagine(
    shard: int,
    params: config.Generator,
    planned: Path = PLAN,
    earlier: Path = IMAGINED,
    out: Path = SHARDS,
    store: Store | None = None,
) -> pd.DataFrame:
    """Draw the pictures of one shard into ``out``, with a manifest, and return the manifest.

    Pictures that are in the store or in the folder ``earlier`` are not drawn again. In a new clone
    the store is empty, and ``earlier`` holds what DVC restored.

    Raises :class:`EidolonError` when the shard's plan is missing or damaged.
    """
    from components.models.fingerprints import fingerprint

    store = store or Store()
    table = read_table(planned / f"{shard}.csv", PLAN_COLUMNS, "dvc repro plan")
    pictures = [Wanted(*row) for row in table.itertuples(index=False, name=None)]
    addresses = draw(
        pictures, LazyGenerator(params), store, _by_address(earlier), f"imagine@{shard}"
    )
    model = fingerprint(params.model, params.revision)
    rows = []
    with folder_aside(out / str(shard)) as aside:
        for picture, address in addresses.items():
            data = store.get(address)
            if data is None:
                raise EidolonError(
                    f"{store.path(address)} was removed or damaged while this ran: run it again"
                )
            file = aside / picture.path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            row = (picture.path, picture.category, picture.prompt, picture.seed, model, digest)
            rows.append((*row, address, picture.kind))
        frame = pd.DataFrame(rows, columns=list(manifest.IMAGINED_COLUMNS))
        frame = frame.sort_values("path", ignore_index=True)
        manifest.write(aside, frame)
    return frame


def _by_address(imagined: Path) -> dict[str, Path]:
    """The pictures of an earlier run by address; empty if there is none."""
    try:
        frame = manifest.read(imagined, ("address", "path"), "dvc repro generate")
    except (EidolonError, OSError):
        return {}
    return {at: imagined / path for at, path in zip(frame["address"], frame["path"], strict=True)}
