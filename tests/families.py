"""Every family of models that is supported, at toy size: real classes, random weights.

Each function writes what `from_pretrained` reads, in the form in which its family is published.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers as tf

from tests import toy
from zoo.pictures import corpus

SIZE = 32
LENGTH = 16
MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.25, 0.27)
PICTURES = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": list(MEAN),
    "image_std": list(STD),
}
SQUARE = {"height": SIZE, "width": SIZE}
LAYERS = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
PATCHES = LAYERS | {"image_size": SIZE, "patch_size": 8}


def sentencepiece_tokenizer(folder: Path) -> Any:
    """SigLIP's: sentences end in </s>, are padded with it, and come without a mask."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()[:2000]),
        model_writer=model,
        vocab_size=80,
        model_type="unigram",
        bos_id=-1,
        pad_id=-1,
        eos_id=1,
        unk_id=2,
        control_symbols=["<s>"],
        minloglevel=2,
    )
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(model.getvalue())
    return tf.SiglipTokenizer(
        str(folder / "spiece.model"), model_max_length=LENGTH, model_input_names=["input_ids"]
    )


@cache
def pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A BPE vocabulary as Gemma's: words begin with ▁, unknown letters are bytes."""
    from tokenizers import Tokenizer, models, normalizers, trainers

    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    bpe.train_from_iterator(corpus()[:2000], trainer)
    learned = json.loads(bpe.to_str())["model"]
    return learned["vocab"], [tuple(m) for m in learned["merges"]]


def gemma_tokenizer(kind: Any) -> Any:
    """A BPE vocabulary like Gemma's: words begin with ▁, and unknown letters are bytes."""
    vocab, merges = pieces()
    return kind(
        vocab=vocab,
        merges=merges,
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        do_lower_case=True,
        model_input_names=["input_ids"],
    )


def xlm_tokenizer() -> Any:
    """MetaCLIP 2's, which allows more tokens than its text model has places."""
    words = sorted({word for text in corpus()[:2000] for word in text.split()})
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab = [*special, *((f"▁{word}", -2.0) for word in words), ("<mask>", 0.0)]
    return tf.XLMRobertaTokenizer(vocab=vocab, model_max_length=512)


def clip(folder: Path, activation: str = "quick_gelu") -> None:
    """OpenAI's; MetaCLIP has the same form."""
    words = toy.tokenizer()
    text = LAYERS | {
        "vocab_size": len(words),
        "max_position_embeddings": LENGTH,
        "hidden_act": activation,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    vision = PATCHES | {"hidden_act": activation}
    tf.CLIPModel(
        tf.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    ).save_pretrained(folder)
    images = tf.CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size=SQUARE, image_mean=MEAN, image_std=STD
    )
    tf.CLIPProcessor(images, words).save_pretrained(folder)


def openclip(folder: Path) -> None:
    """LAION's and others', converted: exact GELU instead of OpenAI's approximation."""
    clip(folder, "gelu")


def metaclip2(folder: Path) -> None:
    words = xlm_tokenizer()
    text = LAYERS | {
        "vocab_size": len(words),
        "max_position_embeddings": LENGTH,
        "projection_dim": 24,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    vision = PATCHES | {"projection_dim": 24}
    tf.MetaClip2Model(
        tf.MetaClip2Config(text_config=text, vision_config=vision, projection_dim=24)
    ).save_pretrained(folder)
    images = tf.CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size=SQUARE, image_mean=MEAN, image_std=STD
    )
    tf.CLIPProcessor(images, words).save_pretrained(folder)


def siglip(folder: Path) -> None:
    words = sentencepiece_tokenizer(folder)
    _save_siglip(folder, words)
    images = tf.SiglipImageProcessorPil(size=SQUARE, image_mean=MEAN, image_std=STD)
    tf.SiglipProcessor(images, words).save_pretrained(folder)


def siglip2(folder: Path) -> None:
    """The checkpoints of one picture size, which are SigLIP models with Gemma's tokenizer."""
    words = gemma_tokenizer(tf.GemmaTokenizer)
    _save_siglip(folder, words)
    images = tf.SiglipImageProcessorPil(size=SQUARE, image_mean=MEAN, image_std=STD)
    tf.SiglipProcessor(images, words).save_pretrained(folder)


def _save_siglip(folder: Path, words: Any) -> None:
    text = LAYERS | {
        "vocab_size": len(words),
        "max_position_embeddings": LENGTH,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    model = tf.SiglipModel(tf.SiglipConfig(text_config=text, vision_config=PATCHES))
    model.save_pretrained(folder)


def siglip2_naflex(folder: Path) -> None:
    """The checkpoints that keep a picture's proportions."""
    words = gemma_tokenizer(tf.Siglip2Tokenizer)
    text = LAYERS | {
        "vocab_size": len(words),
        "max_position_embeddings": LENGTH,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    vision = LAYERS | {"patch_size": 8, "num_patches": 16}
    tf.Siglip2Model(tf.Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(
        folder
    )
    images = tf.Siglip2ImageProcessorPil(
        patch_size=8, max_num_patches=16, image_mean=MEAN, image_std=STD
    )
    tf.Siglip2Processor(images, words).save_pretrained(folder)


def dinov2(folder: Path) -> None:
    tf.Dinov2Model(tf.Dinov2Config(**PATCHES)).save_pretrained(folder)
    _save_bit(folder)


def dinov2_with_registers(folder: Path) -> None:
    tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(**PATCHES)).save_pretrained(folder)
    _save_bit(folder)


def _save_bit(folder: Path) -> None:
    tf.BitImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size=SQUARE, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder)


def dinov3_vit(folder: Path) -> None:
    config = tf.DINOv3ViTConfig(**PATCHES, num_register_tokens=4)
    tf.DINOv3ViTModel(config).save_pretrained(folder)
    _save_settings(folder, "DINOv3ViTImageProcessorFast")


def dinov3_convnext(folder: Path) -> None:
    config = tf.DINOv3ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    tf.DINOv3ConvNextModel(config).save_pretrained(folder)
    _save_settings(folder, "DINOv3ViTImageProcessorFast")


def _save_settings(folder: Path, kind: str) -> None:
    """The processor's file alone: DINOv3's class cannot be made without torchvision."""
    settings = PICTURES | {"image_processor_type": kind, "size": SQUARE, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def deit(folder: Path) -> None:
    """As published: a classifier, without weights for the pooling layer of a DeiTModel."""
    tf.DeiTForImageClassification(tf.DeiTConfig(**PATCHES)).save_pretrained(folder)
    _save_deit(folder)


def deit_pooled(folder: Path) -> None:
    """A DeiTModel whose pooling layer was trained."""
    tf.DeiTModel(tf.DeiTConfig(**PATCHES)).save_pretrained(folder)
    _save_deit(folder)


def resnet(folder: Path) -> None:
    """A convolutional one, whose pooled output keeps sides of one pixel."""
    config = tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    tf.ResNetModel(config).save_pretrained(folder)
    _save_deit(folder)


def regnet(folder: Path) -> None:
    config = tf.RegNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], groups_width=4)
    tf.RegNetModel(config).save_pretrained(folder)
    _save_deit(folder)


def _save_deit(folder: Path) -> None:
    tf.DeiTImageProcessorPil(
        size=SQUARE, crop_size=SQUARE, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder)


def sdxl_turbo(folder: Path) -> None:
    """A StableDiffusionXLPipeline: two text encoders, one ancestral step, no guidance."""
    from diffusers import (
        AutoencoderKL,
        EulerAncestralDiscreteScheduler,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )

    words = toy.tokenizer()
    text = tf.CLIPTextConfig(
        **LAYERS,
        vocab_size=len(words),
        max_position_embeddings=LENGTH,
        projection_dim=32,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(16, 32),
            norm_num_groups=8,
            sample_size=SIZE,
        ),
        text_encoder=tf.CLIPTextModel(text),
        text_encoder_2=tf.CLIPTextModelWithProjection(text),
        tokenizer=words,
        tokenizer_2=words,
        unet=UNet2DConditionModel(
            sample_size=SIZE // 2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(16, 32),
            layers_per_block=1,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2),
            projection_class_embeddings_input_dim=6 * 8 + 32,
            cross_attention_dim=2 * 32,
            norm_num_groups=8,
        ),
        scheduler=EulerAncestralDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="trailing",
        ),
    ).save_pretrained(folder)


TWO_SIDED: dict[str, Callable[[Path], None]] = {
    "clip": clip,
    "openclip": openclip,
    "metaclip2": metaclip2,
    "siglip": siglip,
    "siglip2": siglip2,
    "siglip2-naflex": siglip2_naflex,
}
ONE_SIDED: dict[str, Callable[[Path], None]] = {
    "dinov2": dinov2,
    "dinov2-with-registers": dinov2_with_registers,
    "dinov3-vit": dinov3_vit,
    "dinov3-convnext": dinov3_convnext,
    "deit": deit,
    "deit-pooled": deit_pooled,
    "resnet": resnet,
    "regnet": regnet,
}


def save(family: str, folder: Path) -> Path:
    """Write ``family`` to ``folder``, with weights from a fixed seed that tell inputs apart."""
    torch.manual_seed(0)
    (TWO_SIDED | ONE_SIDED)[family](folder)
    return folder


def save_encoders(root: Path) -> None:
    """Write the encoders of each family to a folder of its name under ``root``."""
    for family in [*TWO_SIDED, *ONE_SIDED]:
        save(family, root / family)
