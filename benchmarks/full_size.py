"""Full-size models with random weights for benchmarks on an accelerator, and toy ones like them.

A model takes as long with random weights as with trained ones, so nothing needs to be downloaded.
CLIP ViT-L/14, DINOv2-L and SDXL-Turbo are built from their published hyperparameters, and saved as
the published ones are. The toy models go the same way on a CPU, so that a benchmark can be tried
before an accelerator is at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
)

from components.models.checkpoints import device, precision
from zoo.tokenizer import train_tokenizer

TOKENS = 77
CROP = {"height": 224, "width": 224}

# config.json of openai/clip-vit-large-patch14
CLIP_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": TOKENS,
    "projection_dim": 768,
}
CLIP_VISION: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
# config.json of facebook/dinov2-large
DINOV2: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "mlp_ratio": 4,
    "image_size": 518,
    "patch_size": 14,
}
# unet/, vae/ and text_encoder_2/config.json and the scheduler of stabilityai/sdxl-turbo
UNET: dict[str, Any] = {
    "sample_size": 64,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "layers_per_block": 2,
    "attention_head_dim": (5, 10, 20),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE: dict[str, Any] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 1024,
    "scaling_factor": 0.13025,
    "force_upcast": True,
}
BIGG_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "max_position_embeddings": TOKENS,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "trailing",
}


@dataclass(frozen=True)
class Sizes:
    """The hyperparameters of each network. ``side`` is how large the pictures are, in pixels."""

    clip_text: dict[str, Any]
    clip_vision: dict[str, Any]
    dinov2: dict[str, Any]
    unet: dict[str, Any]
    vae: dict[str, Any]
    second_text: dict[str, Any]
    side: int


def full() -> Sizes:
    """The published hyperparameters."""
    return Sizes(CLIP_TEXT, CLIP_VISION, DINOV2, UNET, VAE, BIGG_TEXT, side=512)


_SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_FEW_PATCHES = {"image_size": 224, "patch_size": 56}


def toy() -> Sizes:
    """Networks of the same kinds that a CPU computes at once."""
    return Sizes(
        CLIP_TEXT | _SMALL | {"intermediate_size": 64, "projection_dim": 32},
        CLIP_VISION | _SMALL | _FEW_PATCHES | {"intermediate_size": 64, "projection_dim": 32},
        DINOV2 | _SMALL | _FEW_PATCHES,
        UNET
        | {
            "block_out_channels": (32, 64, 64),
            "attention_head_dim": (1, 2, 2),
            "transformer_layers_per_block": (1, 1, 1),
            "cross_attention_dim": 64,
            "projection_class_embeddings_input_dim": 6 * 256 + 32,
        },
        VAE | {"block_out_channels": (32, 32, 32, 32)},
        BIGG_TEXT | _SMALL | {"intermediate_size": 64, "projection_dim": 32},
        side=64,
    )


def architectures(sizes: Sizes) -> dict[str, Callable[[], torch.nn.Module]]:
    """What builds each network."""
    width = sizes.clip_text["projection_dim"]
    clip = CLIPConfig(
        text_config=sizes.clip_text, vision_config=sizes.clip_vision, projection_dim=width
    )
    return {
        "clip": lambda: CLIPModel(clip),
        "dinov2": lambda: Dinov2Model(Dinov2Config(**sizes.dinov2)),
        "unet": lambda: UNet2DConditionModel(**sizes.unet),
        "vae": lambda: AutoencoderKL(**sizes.vae),
        "text_encoder": lambda: CLIPTextModel(CLIPTextConfig(**sizes.clip_text)),
        "text_encoder_2": lambda: CLIPTextModelWithProjection(CLIPTextConfig(**sizes.second_text)),
    }


def parameters(part: str) -> int:
    """The number of parameters of a full-size network, computed without allocating them."""
    with torch.device("meta"):
        return sum(p.numel() for p in architectures(full())[part]().parameters())


def save_models(folder: Path, sizes: Sizes) -> None:
    """Write clip/, dinov2/ and sdxl/ with random weights: 9 GB in 16 bits at full size."""
    parts: dict[str, Any] = {}
    torch.manual_seed(0)
    for part, build in architectures(sizes).items():
        with device():
            parts[part] = build().to(precision())
    words = _tokenizer()
    parts["clip"].save_pretrained(folder / "clip")
    CLIPProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size=CROP), words
    ).save_pretrained(folder / "clip")
    parts["dinov2"].save_pretrained(folder / "dinov2")
    BitImageProcessorPil(size={"shortest_edge": 256}, crop_size=CROP).save_pretrained(
        folder / "dinov2"
    )
    StableDiffusionXLPipeline(
        vae=parts["vae"],
        text_encoder=parts["text_encoder"],
        text_encoder_2=parts["text_encoder_2"],
        tokenizer=words,
        tokenizer_2=words,
        unet=parts["unet"],
        scheduler=EulerAncestralDiscreteScheduler(**SCHEDULE),
    ).save_pretrained(folder / "sdxl")


def _tokenizer() -> CLIPTokenizer:
    words = train_tokenizer()
    words.model_max_length = TOKENS
    return words
