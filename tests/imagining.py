"""What was drawn: the pixels of a picture, and how many pictures a log tells of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path), dtype=int)


def drawn(text: str) -> int:
    """How many pictures the progress in ``text`` says were drawn."""
    return sum(int(done) for done in re.findall(r"^imagine\S*: (\d+)/\1 pictures", text, re.M))
