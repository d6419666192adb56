"""Encoders by name or by folder: the one home of transformers.

A model family is chosen by its own config.json (transformers' Auto classes), so the embedded zoo
and ``openai/clip-vit-large-patch14`` or ``facebook/dinov2-large`` take the same path.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from components.checkpoints import device, load

Array = npt.NDArray[np.float32]

transformers_logging.disable_progress_bar()
logging.getLogger("transformers").setLevel(logging.ERROR)


class VisionEncoder:
    """Pictures to unit vectors, with any image model of transformers that pools (DINOv2, DeiT)."""

    def __init__(self, model: str, revision: str | None = None, batch: int = 256) -> None:
        self.name, self.batch = model, batch
        self._device = device()
        self._model = (
            load(AutoModel.from_pretrained, model, revision, use_safetensors=True)
            .eval()
            .to(self._device)
        )
        self._processor = load(AutoImageProcessor.from_pretrained, model, revision)

    def images(self, images: Sequence[Image.Image]) -> Array:
        """(N, d) float32, each row of length one."""
        return _in_batches(images, self.batch, self._encode)

    @torch.inference_mode()
    def _encode(self, images: Sequence[Image.Image]) -> torch.Tensor:
        inputs = self._processor(images=list(images), return_tensors="pt").to(self._device)
        return self._model(**inputs).pooler_output


class ClipEncoder:
    """Pictures and texts to unit vectors of one space (CLIP, SigLIP and their kin)."""

    def __init__(self, model: str, revision: str | None = None, batch: int = 256) -> None:
        self.name, self.batch = model, batch
        self._device = device()
        self._model = (
            load(AutoModel.from_pretrained, model, revision, use_safetensors=True)
            .eval()
            .to(self._device)
        )
        self._processor = load(AutoImageProcessor.from_pretrained, model, revision)
        self._tokenizer = load(AutoTokenizer.from_pretrained, model, revision)

    def images(self, images: Sequence[Image.Image]) -> Array:
        """(N, d) float32, each row of length one."""
        return _in_batches(images, self.batch, self._encode_images)

    def texts(self, texts: Sequence[str]) -> Array:
        """(N, d) float32, each row of length one. Long texts are cut at the model's length."""
        return _in_batches(texts, self.batch, self._encode_texts)

    def describe(self, names: Sequence[str], templates: Sequence[str]) -> Array:
        """(N, d): the mean over ``templates`` of each name's text vectors.

        As in the paper's evaluation the mean is not normalised again.
        """
        texts = [t.format(name) for name in names for t in templates]
        return self.texts(texts).reshape(len(names), len(templates), -1).mean(axis=1)

    @torch.inference_mode()
    def _encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        inputs = self._processor(images=list(images), return_tensors="pt").to(self._device)
        return self._model.get_image_features(**inputs).pooler_output

    @torch.inference_mode()
    def _encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        inputs = self._tokenizer(
            list(texts), padding="max_length", truncation=True, return_tensors="pt"
        ).to(self._device)
        return self._model.get_text_features(**inputs).pooler_output


def _in_batches(items: Sequence[Any], batch: int, encode: Any) -> Array:
    parts = [encode(items[i : i + batch]) for i in range(0, len(items), batch)]
    return normalize(torch.cat(parts).float(), dim=-1).cpu().numpy()
