"""The table that goes with a folder of pictures: one row each, and the folder it describes."""

from __future__ import annotations

from pathlib import Path
from typing import NewType

import pandas as pd

from components.errors import EidolonError

Manifest = NewType("Manifest", pd.DataFrame)

DATASET_COLUMNS = ("path", "category", "split", "subset", "pixels", "dhash")
IMAGINED_COLUMNS = ("path", "category", "prompt", "seed", "model", "sha256", "address")
ACCEPTED_COLUMNS = (*IMAGINED_COLUMNS, "attempt")

_TEXT = ("path", "category", "pixels", "dhash", "prompt", "model", "sha256", "address")


def read(folder: Path, columns: tuple[str, ...], made_by: str) -> Manifest:
    """Read ``folder/manifest.csv`` and check its columns.

    Text stays text where it looks like a number. Raises :class:`EidolonError` when it is missing,
    damaged or empty; ``made_by`` is the command that makes it anew.
    """
    path = folder / "manifest.csv"
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False)
    except FileNotFoundError:
        raise EidolonError(f"{path} is missing: run `{made_by}`") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise EidolonError(f"{path} is damaged ({error}): run `{made_by}`") from None
    missing = [c for c in columns if c not in frame.columns]
    if missing or frame.empty:
        what = f"lacks the columns {missing}" if missing else "has no rows"
        raise EidolonError(f"{path} {what}: run `{made_by}`")
    return Manifest(frame)


def write(folder: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` as ``folder/manifest.csv``."""
    frame.to_csv(folder / "manifest.csv", index=False)
