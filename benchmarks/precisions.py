"""Whether 16 bits and batches change which pictures are found.

The embedded encoders, which are trained, encode pictures of emblems in float32 one at a time, which
is the reference, and as the product does it. Each picture is then searched for among all others. A
place among the best counts as changed when the product finds another picture there than the
reference has among its best. The control is the reference in batches.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from components.datasets.emblems import draw, emblems
from components.index.engine import Rows
from components.index.gallery import top
from components.models.checkpoints import device
from components.models.encoders import ClipEncoder, VisionEncoder
from components.vectors import Array, normalized

BEST = 20
MOST_CHANGED = 0.05
"""The share of the best places that may change."""

EACH = 4  # pictures of a category

Encode = Callable[[list[Image.Image]], Array]


def changes(models: Path, categories: int) -> dict[str, dict[str, float]]:
    """For CLIP and the vision encoder in ``models``, zoo/models: the share of the best places that
    ``batches`` change, and that the ``product``'s precision and batches change."""
    pictures = [
        draw(emblem, seed=0, subset="gallery", index=index)
        for emblem in emblems()[:categories]
        for index in range(EACH)
    ]
    clip, vision = str(models / "clip"), str(models / "dino")
    ours: dict[str, tuple[str, Encode]] = {
        "CLIP": (clip, ClipEncoder(clip).images),
        "the vision encoder": (vision, VisionEncoder(vision).images),
    }
    found = {}
    for name, (folder, encode) in ours.items():
        exact = _reference(folder)
        alone = np.concatenate([exact([picture]) for picture in pictures])
        found[name] = {
            "batches": changed(alone, exact(pictures)),
            "product": changed(alone, encode(pictures)),
        }
    return found


def changed(reference: Array, other: Array) -> float:
    """The share of the best places that differ between two sets of vectors (N, d)."""
    best, found = _best(reference), _best(other)
    same = [len(np.intersect1d(one, two)) for one, two in zip(best, found, strict=True)]
    return 1 - float(np.mean(same)) / best.shape[1]


def _best(vectors: Array) -> Rows:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return np.stack([top(row, BEST) for row in scores])


def _reference(folder: str) -> Encode:
    """Encoding in float32 by the library's own class."""
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32).eval().to(device())

    @torch.inference_mode()
    def encode(pictures: list[Image.Image]) -> Array:
        pixels = processor(images=pictures, return_tensors="pt").to(device())
        get = getattr(model, "get_image_features", model)
        return normalized(get(**pixels).pooler_output.cpu().numpy())

    return encode
