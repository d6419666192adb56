"""Shards: which part of the pictures one task draws, and the tables that describe them.

A shard is what one task draws on one accelerator. Its plan changes only when its own pictures
change, so DVC leaves the other shards alone. The category's name alone decides its shard, so a new
category touches one shard.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from components import tables

PLAN_COLUMNS = ("category", "k", "prompt", "seed")


def shard_of(category: str, count: int) -> int:
    """Which of ``count`` shards draws ``category``."""
    return int.from_bytes(hashlib.sha256(category.encode()).digest()[:8], "big") % count


def read_table(path: Path, columns: tuple[str, ...], made_by: str) -> pd.DataFrame:
    """Read a CSV of a shard, which may have no rows. Raises :class:`EidolonError`."""
    return tables.read(path, columns, f"run `{made_by}`", ("k", "seed"))[list(columns)]
