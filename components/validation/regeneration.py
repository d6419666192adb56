"""Regenerates rejected pictures, each with another seed, for a limited number of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components import config, manifest
from components.files import sha256
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.recipes import Wanted
from components.imagining.store import Store
from components.validation.judge import judge
from components.validation.likeness import Likeness
from components.validation.measure import Measured, Meter


@dataclass(frozen=True)
class Regenerated:
    """The judged rows before and after regeneration.

    ``first`` are the rows of the pictures as imagined. ``last`` are those after the last attempt,
    and ``measured`` are their measurements. ``replaced`` are the rows of all pictures that were
    replaced, in any attempt, and ``files`` are the files of these rows.
    """

    first: pd.DataFrame
    last: pd.DataFrame
    measured: Measured
    replaced: pd.DataFrame
    files: tuple[Path, ...]


def regenerate(
    measured: Measured,
    params: config.Validate,
    generator: LazyGenerator,
    meter: Meter,
    store: Store,
    likeness: Likeness,
) -> Regenerated:
    """Judge all pictures, and draw the rejected ones again, each with a new seed.

    This repeats until no picture is rejected, or ``validate.attempts`` rounds are done. All
    pictures are judged together after every round.
    """
    size, base = generator.params.size, generator.params.seed
    first = rows = judge(measured, params, size, likeness)
    replaced: list[pd.DataFrame] = []
    files: list[Path] = []
    for _ in range(params.attempts):
        at = np.flatnonzero(rows["reason"] != "")
        if not at.size:
            break
        replaced.append(rows.iloc[at])
        files += [measured.files[i] for i in at]
        again = [_wanted(row).again(base) for row in rows.iloc[at].itertuples()]
        addresses = draw(again, generator, store, what="regenerate")
        drawn = [store.path(addresses[w]) for w in again]
        frame = rows.iloc[at][[*manifest.ACCEPTED_COLUMNS]].assign(
            seed=[w.seed for w in again],
            address=[addresses[w] for w in again],
            attempt=[w.attempt for w in again],
            sha256=[sha256(file) for file in drawn],
        )
        measured = measured.replace(at, meter.measure(drawn, frame))
        rows = judge(measured, params, size, likeness)
    past = pd.concat(replaced) if replaced else rows.head(0)
    return Regenerated(first, rows, measured, past, tuple(files))


def _wanted(row: Any) -> Wanted:
    k = int(Path(row.path).stem)  # the file of a category's k-th picture is called k.png
    return Wanted(row.category, k, row.prompt, row.seed, row.kind, row.attempt)
