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
