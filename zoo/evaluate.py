"""Quick figures for model cards: mAP on fresh photos of trained and held-out combinations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer, Dinov2Model

from components.datasets.emblems import splits
from components.learning.metrics import average_precision
from zoo.pictures import pictures

PER_CATEGORY = 6


def by_split(scores: np.ndarray, labels: np.ndarray, names: tuple) -> dict[str, float]:
    """Mean AP over the categories of each split. ``scores`` is (categories, pictures)."""
    split_of = splits()
    ap = np.array([average_precision(s, labels == i) for i, s in enumerate(scores)])
    return {
        f"map_{split}": round(float(ap[[split_of[n] == split for n in names]].mean()), 4)
        for split in ("train", "validation", "unseen")
    }


def _batched(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> np.ndarray:
    with torch.inference_mode():
        parts = [encode(inputs[i : i + 256]) for i in range(0, len(inputs), 256)]
    return torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1).numpy()


def text_to_image_map(
    model: CLIPModel, tokenizer: CLIPTokenizer, tensor: Callable[[np.ndarray], Tensor]
) -> dict[str, float]:
    """mAP of ranking photos of all 320 categories by "a photo of a NAME"."""
    data = pictures("photo", PER_CATEGORY, "all", "check")
    gallery = _batched(
        lambda x: model.get_image_features(pixel_values=x).pooler_output, tensor(data.pixels)
    )
    words = [f"a photo of a {c.name}" for c in data.names]
    tokens = tokenizer(words, padding="max_length", truncation=True, return_tensors="pt")
    with torch.inference_mode():
        text = model.get_text_features(**tokens).pooler_output.float()
    return by_split(
        torch.nn.functional.normalize(text, dim=-1).numpy() @ gallery.T, data.labels, data.names
    )


def image_to_image_map(
    model: Dinov2Model,
    tensor: Callable[[np.ndarray], Tensor],
    queries: np.ndarray | None = None,
) -> dict[str, float]:
    """mAP of ranking photos by the mean feature of four pictures of each category.

    ``queries`` (categories, k, 32, 32, 3) are those pictures; without them, studio pictures are
    drawn.
    """
    data = pictures("photo", PER_CATEGORY, "all", "check")
    if queries is None:
        studio = pictures("studio", 4, "all", "check")
        queries = studio.pixels.reshape(len(data.names), 4, *studio.pixels.shape[1:])
    encode = lambda x: model(pixel_values=x).pooler_output  # noqa: E731
    gallery = _batched(encode, tensor(data.pixels))
    flat = queries.reshape(-1, *queries.shape[2:])
    features = _batched(encode, tensor(flat)).reshape(*queries.shape[:2], -1).mean(1)
    return by_split(features @ gallery.T, data.labels, data.names)
