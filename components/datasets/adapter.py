"""What an adapter yields: one category, its split, and its pictures, not yet opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

Split = Literal["train", "validation", "unseen"]
Picture = Path | Callable[[], Image.Image]
"""A file that is copied as it is, or a function that draws."""


@dataclass(frozen=True)
class Source:
    """``training`` is empty for an unseen category."""

    category: str
    split: Split
    gallery: Sequence[Picture]
    training: Sequence[Picture]


def wrong_with(folder: Path) -> str | None:
    """What keeps ``folder`` from being read as a folder, in words that begin with its name."""
    if folder.is_dir():
        return None
    if folder.is_symlink() and not folder.exists():
        return f"{folder} is a link to {folder.readlink()}, which does not exist"
    if folder.exists():
        return f"{folder} is a file"
    return f"{folder} does not exist" + ("" if folder.is_absolute() else f" in {Path.cwd()}")


def taken(amount: int | float | None, count: int) -> int:
    """How many of ``count`` pictures a number, a share (at least one picture), or ``None`` (all)
    takes."""
    if amount is None:
        return count
    if isinstance(amount, float):
        return max(1, round(amount * count))
    return min(amount, count)
