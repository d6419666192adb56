"""Encoders of pictures and texts, from a folder or a hub. No other module imports transformers.

A model's own config.json chooses its class (transformers' Auto classes). So the embedded zoo,
``openai/clip-vit-large-patch14`` and ``facebook/dinov2-large`` take the same path. PIL always
prepares the pictures, so that features do not depend on which other libraries are installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, ViTImageProcessorPil
from transformers.models.auto.image_processing_auto import get_image_processor_config

from components import config
from components.errors import EidolonError
from components.models.batches import Batches
from components.models.checkpoints import (
    check_tokenizer,
    device,
    load,
    load_model,
    placed,
    precision,
)
from components.models.fingerprints import pinned_name
from components.models.preparing import prepared
from components.models.quiet import quiet
from components.names import fill
from components.vectors import Array


class _PictureEncoder:
    """A model with its picture processor.

    ``revision`` is that of :func:`components.models.checkpoints.load`. ``batch`` and ``share`` are
    the ``size`` and ``share`` of :class:`components.models.batches.Batches`.
    """

    def __init__(
        self,
        model: str,
        revision: str | None = None,
        batch: int | None = None,
        share: float = config.MEMORY_SHARE,
    ) -> None:
        quiet()
        self.name = model
        loaded, self._pools = load_model(
            AutoModel.from_pretrained, model, revision, optional="pooler."
        )
        self._model = placed(loaded.eval())
        self._check_kind(pinned_name(model, revision))
        self._processor = load(_picture_processor, model, revision)
        self._images = Batches(
            self._encode_images, Image.new("RGB", (224, 224)), batch, share=share
        )

    @property
    def batch(self) -> int:
        """How many pictures go through the model at once."""
        return self._images.size

    @property
    def side(self) -> int | None:
        """The longest side, in pixels, to which pictures are scaled or cropped.

        None for a model that takes pictures of any size: those must be read in full.
        """
        if not getattr(self._processor, "do_resize", False):
            return None
        sizes = [getattr(self._processor, name, None) for name in ("size", "crop_size")]
        lengths = [n for size in sizes if size for n in dict(size).values() if n is not None]
        return max(lengths, default=None)

    def images(self, images: Sequence[Image.Image]) -> Array:
        """The features of N pictures: (N, d) float32, each row of length one."""
        return _joined(self._images(images))

    def to(self, place: Any) -> None:
        """Move the model to another device. It works only on that of
        :func:`components.models.checkpoints.device`."""
        self._model.to(place)

    def _check_kind(self, model: str) -> None:
        """Raise :class:`EidolonError` when the model is of a kind that does not fit this use."""
        raise NotImplementedError

    def _encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        raise NotImplementedError

    def _pixels(self, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        inputs = prepared(self._processor, images)
        return {
            name: values.to(device(), precision() if values.is_floating_point() else None)
            for name, values in inputs.items()
        }


class VisionEncoder(_PictureEncoder):
    """Encodes pictures as unit vectors, with any picture model of transformers (DINOv2, DeiT,
    ResNet).

    The vector is the model's pooled output. Some checkpoints have no weights for the pooling layer
    (DeiT and the first DINO, as published). For those it is the CLS token, as in the paper.
    """

    def _check_kind(self, model: str) -> None:
        if self._model.main_input_name != "pixel_values":
            raise EidolonError(
                f"{model} is a {self._model.config.model_type}, which needs more than pictures:"
                " set encoders.vision to a picture model, such as a DINOv2"
            )

    @torch.inference_mode()
    def _encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        output = self._model(**self._pixels(images))
        if not self._pools:
            return output.last_hidden_state[:, 0]
        if output.get("pooler_output") is None:
            raise EidolonError(
                f"{self.name} makes no vector of a picture: set encoders.vision to a model that"
                " does, such as a DINOv2"
            )
        return output.pooler_output.flatten(1)  # a ResNet's is (N, d, 1, 1)


class ClipEncoder(_PictureEncoder):
    """Encodes pictures and texts as unit vectors of one space (CLIP, SigLIP and similar models)."""

    def __init__(
        self,
        model: str,
        revision: str | None = None,
        batch: int | None = None,
        share: float = config.MEMORY_SHARE,
    ) -> None:
        super().__init__(model, revision, batch, share)
        self._tokenizer = load(AutoTokenizer.from_pretrained, model, revision)
        check_tokenizer(self._tokenizer, pinned_name(model, revision))
        # SigLIP 2's tokenizer has no limit, and MetaCLIP 2's differs from that of its text model
        positions = self._model.config.text_config.max_position_embeddings
        self._length = min(self._tokenizer.model_max_length, positions)
        self._texts = Batches(self._encode_texts, "a", batch, share=share)

    def texts(self, texts: Sequence[str]) -> Array:
        """The features of N texts: (N, d) float32, each row of length one.

        A text that is longer than the model's context is truncated.
        """
        return _joined(self._texts(texts))

    def describe(self, names: Sequence[str], templates: Sequence[str]) -> Array:
        """The text embedding of each name: (N, d), the mean over ``templates``.

        As in the paper's evaluation, the mean is not normalised again.
        """
        texts = [fill(template, name) for name in names for template in templates]
        return self.texts(texts).reshape(len(names), len(templates), -1).mean(axis=1)

    def truncates(self, text: str) -> bool:
        """Whether ``text`` is longer than the model's context, so that its end is not read."""
        return len(self._tokenizer(text)["input_ids"]) > self._length

    def _check_kind(self, model: str) -> None:
        if not hasattr(self._model, "get_text_features"):
            raise EidolonError(
                f"{model} is a {self._model.config.model_type}, which reads no texts: set"
                " encoders.clip to a model that does, such as a CLIP or a SigLIP"
            )

    @torch.inference_mode()
    def _encode_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        return self._model.get_image_features(**self._pixels(images)).pooler_output

    @torch.inference_mode()
    def _encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        # SigLIP was trained on texts padded to the full length, without a mask for the padding
        lower = self._tokenizer.init_kwargs.get("do_lower_case", False)
        inputs = self._tokenizer(
            [text.lower() for text in texts] if lower else list(texts),
            padding="max_length",
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        ).to(device())
        return self._model.get_text_features(**inputs).pooler_output


def load_encoders(params: config.Encoders) -> tuple[ClipEncoder, VisionEncoder]:
    """Both encoders as params.yaml names them. Raises :class:`EidolonError` as
    :func:`components.models.checkpoints.load` does."""
    batch, share = params.batch, params.memory_share
    return (
        ClipEncoder(params.clip, params.clip_revision, batch, share),
        VisionEncoder(params.vision, params.vision_revision, batch, share),
    )


def _picture_processor(model: str, **options: Any) -> Any:
    """Load a model's own picture processor, in its PIL form.

    transformers has that of DINOv3 for torchvision only. The one of ViT does the same steps from
    the same settings. It also rounds the resized pixels to multiples of 1/255.
    """
    settings = get_image_processor_config(model, **options)
    if str(settings.get("image_processor_type")).startswith("DINOv3"):
        return ViTImageProcessorPil.from_pretrained(model, **options)
    return AutoImageProcessor.from_pretrained(model, backend="pil", **options)


def _joined(parts: list[torch.Tensor]) -> Array:
    return normalize(torch.cat(parts).float(), dim=-1).cpu().numpy()
