"""What an adapter yields: a category, its split and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

Split = Literal["train", "validation", "unseen", "gate"]
"""Adapters give the first three; components.datasets.kept_for_gate makes `gate` of some unseen."""


@dataclass(frozen=True)
class Drawing:
    """A picture that code draws. ``recipe`` has everything that it depends on, the code too. So
    equal recipes are equal pictures."""

    recipe: str
    draw: Callable[[], Image.Image]


Picture = Path | Drawing
"""A file to copy, or a picture to draw."""


@dataclass(frozen=True)
class Category:
    """A category's pictures for the gallery and for training. Unseen ones have no training, nor
    have those of the gate."""

    name: str
    split: Split
    gallery: Sequence[Picture]
    training: Sequence[Picture]


def wrong_with(folder: Path) -> str | None:
    """Why ``folder`` cannot be read as a folder, in words that begin with its name, or ``None``."""
    if folder.is_dir():
        return None
    if folder.is_symlink() and not folder.exists():
        return f"{folder} is a link to {folder.readlink()}, which does not exist"
    if folder.exists():
        return f"{folder} is a file"
    return f"{folder} does not exist" + ("" if folder.is_absolute() else f" in {Path.cwd()}")


def number_of(amount: int | float | None, count: int) -> int:
    """How many of ``count`` pictures ``amount`` stands for.

    An ``int`` is a number of pictures, at most ``count``. A ``float`` is a share, at least one
    picture. ``None`` means all.
    """
    if amount is None:
        return count
    if isinstance(amount, float):
        return max(1, round(amount * count))
    return min(amount, count)
