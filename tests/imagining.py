"""Helpers for drawn pictures: their pixels, and how many pictures a log reports."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=int)


def drawn(text: str) -> int:
    """The number of pictures that were drawn, from the progress in ``text``."""
    return sum(int(done) for done in re.findall(r"^imagine\S*: (\d+)/\1 pictures", text, re.M))
