"""The stages `plan`, `imagine` and `generate`: what to draw, drawing it in shards, gathering them.

A shard is what one task on one accelerator draws. Its plan changes only when its own pictures do,
so the others are not even looked at; and its pictures are an output of DVC, which carries them
between clones that share a cache or a remote. A category's shard follows from its name alone: one
that is added touches one shard.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pandas as pd

from components import config, manifest, names, tables
from components.errors import EidolonError
from components.files import folder_aside
from components.imagining.store import (
    Identity,
    Store,
    Wanted,
    address_of,
    draw,
    identity_in,
    recipe_in,
    wanted,
)
from components.paths import DATASET, IMAGINED, PLAN, SHARDS

PLAN_COLUMNS = ("category", "k", "prompt", "seed")


def shard_of(category: str, count: int) -> int:
    """Which of ``count`` shards draws ``category``."""
    return int.from_bytes(hashlib.sha256(category.encode()).digest()[:8], "big") % count


def plan(params: config.Generator, dataset: Path = DATASET, out: Path = PLAN) -> pd.DataFrame:
    """The stage `plan`: the pictures wanted of the dataset's categories, a table for each shard.

    Raises :class:`EidolonError` for a prompt of an unknown category, and for two categories of one
    name.
    """
    rows = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    categories = rows["category"].unique().tolist()
    known = {*map(names.fold, categories)}
    strangers = sorted(name for name in params.prompts if names.fold(name) not in known)
    if strangers:
        raise EidolonError(
            f"generator.prompts names {strangers[0]!r}, which is no category of the dataset:"
            " mend the name in params.yaml, or remove it"
        )
    names.distinct(categories)
    frame = pd.DataFrame(
        [(w.category, w.k, w.prompt, w.seed) for w in wanted(params, categories)],
        columns=list(PLAN_COLUMNS),
    )
    shard = frame["category"].map(lambda name: shard_of(name, len(params.shards)))
    with folder_aside(out) as aside:
        for index in params.shards:
            tables.write(aside / f"{index}.csv", frame[shard == index])
    return frame


def imagine(
    shard: int,
    params: config.Generator,
    planned: Path = PLAN,
    earlier: Path = IMAGINED,
    out: Path = SHARDS,
    store: Store | None = None,
) -> pd.DataFrame:
    """The stage `imagine@SHARD`: the pictures of one shard, with a manifest.

    What the store has is not drawn again, nor what ``earlier`` has: in a clone whose store is empty
    that is what DVC restored.
    """
    from components.models.checkpoints import fingerprint

    store = store or Store()
    table = _table(planned / f"{shard}.csv", PLAN_COLUMNS, "dvc repro plan")
    pictures = [Wanted(*row) for row in table.itertuples(index=False, name=None)]
    addresses = draw(pictures, params, store, _by_address(earlier), f"imagine@{shard}")
    model = fingerprint(params.model, params.revision)
    rows = []
    with folder_aside(out / str(shard)) as aside:
        for picture, address in addresses.items():
            data = store.get(address)
            if data is None:
                raise EidolonError(f"{store.path(address)} has vanished: run it again")
            path = Path(names.folder(picture.category)) / f"{picture.k:02d}.png"
            (aside / path).parent.mkdir(exist_ok=True)
            (aside / path).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            row = (path.as_posix(), picture.category, picture.prompt, picture.seed, model, digest)
            rows.append((*row, address))
        frame = pd.DataFrame(rows, columns=list(manifest.IMAGINED_COLUMNS))
        frame = frame.sort_values("path", ignore_index=True)
        manifest.write(aside, frame)
    return frame


def generate(
    params: config.Generator, planned: Path = PLAN, drawn: Path = SHARDS, out: Path = IMAGINED
) -> pd.DataFrame:
    """The stage `generate`: the pictures of all shards in one folder, with one manifest.

    Folders of shards that are no more are removed, so that the stage depends on those alone that
    are. Raises :class:`EidolonError` when a shard is missing or is not what the plan asks for, and
    when shards were drawn differently, such as one on a CPU and one on an accelerator.
    """
    frames = []
    first: tuple[str, Identity] | None = None
    with folder_aside(out) as aside:
        for shard in params.shards:
            made_by = f"dvc repro imagine@{shard}"
            plan = _table(planned / f"{shard}.csv", PLAN_COLUMNS, "dvc repro plan")
            folder = drawn / str(shard)
            frame = _table(folder / "manifest.csv", manifest.IMAGINED_COLUMNS, made_by)
            asked = plan[["category", "prompt", "seed"]].itertuples(index=False, name=None)
            given = frame[["category", "prompt", "seed"]].itertuples(index=False, name=None)
            if sorted(asked) != sorted(given):
                raise EidolonError(f"{folder} is not what {planned} asks for: run `{made_by}`")
            for path, address in zip(frame["path"], frame["address"], strict=True):
                file = folder / path
                data = file.read_bytes() if file.is_file() else b""
                recipe = recipe_in(data)
                if recipe is None or address_of(recipe) != address:
                    raise EidolonError(f"{file} is missing or damaged: run `{made_by}`")
                drawn_by = made_by, identity_in(recipe)
                first = first or drawn_by
                _check_alike(first, drawn_by)
                (aside / path).parent.mkdir(exist_ok=True)
                (aside / path).write_bytes(data)
            frames.append(frame)
        whole = pd.concat([f for f in frames if len(f)]).sort_values("path", ignore_index=True)
        manifest.write(aside, whole)
    current = {str(shard) for shard in params.shards}
    for folder in drawn.iterdir():
        if folder.name.isdigit() and folder.name not in current:
            shutil.rmtree(folder)
    return whole


def _check_alike(first: tuple[str, Identity], last: tuple[str, Identity]) -> None:
    """Raise :class:`EidolonError` unless two pictures, each told by the command that draws it and
    by its identity, were drawn with the same."""
    (one, had), (other, has) = first, last
    differing = [part for part in had if has.get(part) != had[part]]
    if differing:
        part = differing[0]
        raise EidolonError(
            f"the shards were not drawn alike: `{one}` had the {part} {had[part]}, `{other}`"
            f" {has.get(part)}: run one of them again, with --force --single-item, on a machine"
            " like the other's"
        )


def _table(path: Path, columns: tuple[str, ...], made_by: str) -> pd.DataFrame:
    """Read a CSV of a shard, which may have no rows. Raises :class:`EidolonError`."""
    return tables.read(path, columns, f"run `{made_by}`", ("k", "seed"))[list(columns)]


def _by_address(imagined: Path) -> dict[str, Path]:
    """The pictures of an earlier run, if there is one."""
    try:
        frame = manifest.read(imagined, ("address", "path"), "dvc repro generate")
    except (EidolonError, OSError):
        return {}
    return {at: imagined / path for at, path in zip(frame["address"], frame["path"], strict=True)}
