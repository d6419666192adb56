"""The stage `generate`: gathers the pictures of all shards in one folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from components import config, manifest
from components.errors import EidolonError
from components.files import folder_aside
from components.imagining.recipes import Identity, address_of, identity_in, recipe_in
from components.imagining.shards import PLAN_COLUMNS, read_table
from components.paths import IMAGINED, PLAN, SHARDS

_ASKED = ["category", "prompt", "seed", "kind"]


def generate(
    params: config.Generator, planned: Path = PLAN, drawn: Path = SHARDS, out: Path = IMAGINED
) -> pd.DataFrame:
    """Copy the pictures of all shards into ``out``, with one manifest, and return the manifest.

    Folders of shards that no longer exist are removed, because DVC takes the whole folder ``drawn``
    as a dependency of this stage. Raises :class:`EidolonError` when a shard is missing or differs
    from its plan. Raises it too when shards were drawn differently, such as one on a CPU and
    another on an accelerator.
    """
    frames = []
    first: tuple[str, Identity] | None = None
    with folder_aside(out) as aside:
        for shard in params.shards:
            made_by = f"dvc repro imagine@{shard}"
            plan = read_table(planned / f"{shard}.csv", PLAN_COLUMNS, "dvc repro plan")
            folder = drawn / str(shard)
            frame = read_table(folder / "manifest.csv", manifest.IMAGINED_COLUMNS, made_by)
            asked = plan[_ASKED].itertuples(index=False, name=None)
            given = frame[_ASKED].itertuples(index=False, name=None)
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
    """Raise :class:`EidolonError` unless two pictures were drawn in the same way.

    Each is the command that draws the picture, and the picture's identity.
    """
    (one, had), (other, has) = first, last
    differing = [part for part in had if has.get(part) != had[part]]
    if differing:
        part = differing[0]
        raise EidolonError(
            f"the shards were not drawn alike: `{one}` used the {part} {had[part]}, and `{other}`"
            f" used {has.get(part)}: run one of them again, with --force --single-item, on a"
            " machine like the other's"
        )
