"""Shards: the parts into which the pictures are divided, and the tables that describe them.

A shard is what one task draws on one accelerator. Each shard has its own plan, so DVC runs only the
shards whose pictures changed. A category's name alone decides its shard, so a new category changes
one shard.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from components import tables

PLAN_COLUMNS = ("category", "k", "prompt", "seed", "kind")


def shard_of(category: str, count: int) -> int:
    """The shard, 0 to ``count`` - 1, that draws ``category``."""
    return int.from_bytes(hashlib.sha256(category.encode()).digest()[:8], "big") % count


def read_table(path: Path, columns: tuple[str, ...], made_by: str) -> pd.DataFrame:
    """Read the ``columns`` of a shard's CSV, which may have no rows.

    ``made_by`` is the command that writes it. Raises :class:`EidolonError` that names this command
    when the file is missing or damaged.
    """
    return tables.read(path, columns, f"run `{made_by}`", ("k", "seed"))[list(columns)]
