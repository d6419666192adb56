"""What an adapter yields: one category, its split, and its pictures, not yet opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image

Split = Literal["train", "validation", "unseen"]
Drawer = Callable[[], Image.Image]


@dataclass(frozen=True)
class Source:
    """``training`` is empty for an unseen category."""

    category: str
    split: Split
    gallery: Sequence[Drawer]
    training: Sequence[Drawer]
