"""Encoders: each family gives what its own model computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image

from components.errors import EidolonError
from components.models.encoders import ClipEncoder, VisionEncoder
from tests import families
from tests.checkpoints import TEXTS, TOLERANCE


def pixels(five_pictures: list[Image.Image]) -> torch.Tensor:
    """What a processor makes of pictures that have the model's size already."""
    levels = np.stack([np.asarray(p, dtype=np.float32) for p in five_pictures]) / 255
    mean, std = np.float32(families.MEAN), np.float32(families.STD)
    return torch.from_numpy((levels - mean) / std).permute(0, 3, 1, 2)


def unit(vectors: torch.Tensor) -> np.ndarray:
    return (vectors / vectors.norm(dim=-1, keepdim=True)).numpy()


def by_hand(family: str, folder: Path, five_pictures: list[Image.Image]) -> tuple[Any, Any]:
    """Image and text embeddings by the whole forward pass of the family's own classes."""
    kinds = {"metaclip2": tf.MetaClip2Model, "siglip2-naflex": tf.Siglip2Model}
    common = tf.SiglipModel if family.startswith("siglip") else tf.CLIPModel
    model = kinds.get(family, common).from_pretrained(folder).eval()
    if family == "siglip2-naflex":
        prepare = tf.Siglip2ImageProcessorPil.from_pretrained(folder)
        images = prepare(images=five_pictures, return_tensors="pt")
    else:
        images = {"pixel_values": pixels(five_pictures)}
    words = tf.AutoTokenizer.from_pretrained(folder)(
        [text.lower() for text in TEXTS],
        padding="max_length",
        max_length=families.LENGTH,
        truncation=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        output = model(**images, **words)
    return output.image_embeds.numpy(), output.text_embeds.numpy()


@pytest.mark.numeric
@pytest.mark.parametrize("family", families.TWO_SIDED)
def test_texts_and_pictures_of_a_two_sided_family(
    family: str, family_models: Path, five_pictures: list[Image.Image]
) -> None:
    encoder = ClipEncoder(str(family_models / family), batch=2)
    images, texts = encoder.images(five_pictures), encoder.texts(TEXTS)
    for vectors in (images, texts):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=TOLERANCE)
        assert np.abs(vectors[0] - vectors[1]).max() > 0.01  # other inputs give other vectors
    assert images.shape[1] == texts.shape[1]
    np.testing.assert_array_equal(images, encoder.images(five_pictures))
    np.testing.assert_array_equal(texts, encoder.texts(TEXTS))
    alone = ClipEncoder(str(family_models / family), batch=1)
    np.testing.assert_allclose(images, alone.images(five_pictures), atol=TOLERANCE)
    np.testing.assert_allclose(texts, alone.texts(TEXTS), atol=TOLERANCE)
    expected_images, expected_texts = by_hand(family, family_models / family, five_pictures)
    np.testing.assert_allclose(images, expected_images, atol=TOLERANCE)
    np.testing.assert_allclose(texts, expected_texts, atol=TOLERANCE)


@pytest.mark.numeric
@pytest.mark.parametrize("family", ["clip", "siglip", "siglip2", "siglip2-naflex"])
def test_families_trained_on_lower_case_get_lower_case(family: str, family_models: Path) -> None:
    encoder = ClipEncoder(str(family_models / family))
    np.testing.assert_array_equal(encoder.texts(["A Red STAR"]), encoder.texts(["a red star"]))


@pytest.mark.numeric
@pytest.mark.parametrize("family", families.ONE_SIDED)
def test_pictures_of_a_one_sided_family(
    family: str, family_models: Path, five_pictures: list[Image.Image]
) -> None:
    encoder = VisionEncoder(str(family_models / family), batch=2)
    vectors = encoder.images(five_pictures)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=TOLERANCE)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01
    np.testing.assert_array_equal(vectors, encoder.images(five_pictures))
    alone = VisionEncoder(str(family_models / family), batch=1).images(five_pictures)
    np.testing.assert_allclose(vectors, alone, atol=TOLERANCE)

    kinds = {
        "dinov2": tf.Dinov2Model,
        "dinov2-with-registers": tf.Dinov2WithRegistersModel,
        "dinov3-vit": tf.DINOv3ViTModel,
        "dinov3-convnext": tf.DINOv3ConvNextModel,
        "deit": tf.DeiTForImageClassification,
        "deit-pooled": tf.DeiTModel,
        "resnet": tf.ResNetModel,
        "regnet": tf.RegNetModel,
    }
    model = kinds[family].from_pretrained(family_models / family).eval()
    inside = model.deit if family == "deit" else model
    with torch.inference_mode():
        output = inside(pixel_values=pixels(five_pictures))
    if family == "deit-pooled":
        expected = output.pooler_output
    elif family in ("resnet", "regnet"):
        expected = output.last_hidden_state.mean(dim=(2, 3))
    else:  # the CLS token; of a ConvNeXt the mean over the picture
        expected = output.last_hidden_state[:, 0]
    np.testing.assert_allclose(vectors, unit(expected), atol=TOLERANCE)


@pytest.mark.numeric
def test_dinov3_pictures_are_resized_as_by_its_own_processor(family_models: Path) -> None:
    """Its own processor needs torchvision and resizes floats. The difference is rounding."""
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    )
    encoder = VisionEncoder(str(family_models / "dinov3-vit"))
    (ours,) = encoder._pixels([picture])["pixel_values"]
    levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    size = (families.SIZE, families.SIZE)
    resized = torch.nn.functional.interpolate(levels, size, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(v)[:, None, None] for v in (families.MEAN, families.STD))
    assert (ours * std + mean - resized[0]).abs().max() <= 1.01 / 255


def test_a_model_of_the_wrong_kind_is_refused(family_models: Path) -> None:
    with pytest.raises(EidolonError, match=r"is a dinov2, which reads no texts: .*encoders\.clip"):
        ClipEncoder(str(family_models / "dinov2"))
    with pytest.raises(EidolonError, match=r"is a clip, .*more than pictures: .*encoders\.vision"):
        VisionEncoder(str(family_models / "clip"))


def test_a_model_that_does_not_pool_is_refused(
    five_pictures: list[Image.Image], tmp_path: Path
) -> None:
    tf.ViTMAEModel(tf.ViTMAEConfig(**families.PATCHES)).save_pretrained(tmp_path)
    tf.ViTImageProcessorPil(size=families.SQUARE).save_pretrained(tmp_path)
    with pytest.raises(EidolonError, match="makes no vector of a picture"):
        VisionEncoder(str(tmp_path)).images(five_pictures)


def test_eva_needs_timm(tmp_path: Path) -> None:
    settings = {"model_type": "timm_wrapper", "architecture": "eva02_tiny_patch14_224"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(EidolonError, match=r"requires the timm library .*: choose a model that"):
        VisionEncoder(str(tmp_path))
