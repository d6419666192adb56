"""What the small profile costs without an accelerator: `python -m benchmarks.cost`.

The architectures of `folder-sd-turbo` are built from their published hyperparameters, without
weights (on torch's meta device). torch counts the floating point operations of one picture. The
estimated time is that count divided by this machine's rate in a product of two matrices: time =
operations / rate. Memory traffic is left out, so the real time is longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import typer
from diffusers import AutoencoderKL, UNet2DConditionModel
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
)

from benchmarks.full_size import CROP, TOKENS, VAE
from components.config import profiles
from components.errors import one_sentence

SIDE = 1024  # of the matrices whose product gives this machine's rate
LATENT = 8  # pixels of the picture for each latent of the VAE

# unet/ and text_encoder/config.json of stabilityai/sd-turbo
UNET: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "max_position_embeddings": TOKENS,
}
# config.json of openai/clip-vit-base-patch32 (the defaults of transformers) and of
# facebook/dinov2-small
DINOV2: dict[str, Any] = {"hidden_size": 384, "num_attention_heads": 6, "patch_size": 14}


def parts(size: int) -> dict[str, tuple[torch.nn.Module, Callable[[Any], object]]]:
    """Each model and its work for one picture of ``size`` pixels a side, built on torch's current
    device."""
    clip = CLIPConfig(text_config=CLIPTextConfig(), vision_config=CLIPVisionConfig())
    latents = torch.zeros(1, 4, size // LATENT, size // LATENT)
    words = torch.zeros(1, TOKENS, dtype=torch.long)
    pixels = torch.zeros(1, 3, CROP["height"], CROP["width"])
    states = torch.zeros(1, TOKENS, TEXT["hidden_size"])
    return {
        "SD-Turbo, text encoder": (CLIPTextModel(CLIPTextConfig(**TEXT)), lambda m: m(words)),
        "SD-Turbo, U-Net, one step": (
            UNet2DConditionModel(**UNET),
            lambda m: m(latents, torch.zeros(1), states),
        ),
        "SD-Turbo, VAE's decoder": (AutoencoderKL(**VAE), lambda m: m.decode(latents)),
        "CLIP B/32, a picture": (CLIPModel(clip), lambda m: m.get_image_features(pixels)),
        "DINOv2-S, a picture": (Dinov2Model(Dinov2Config(**DINOV2)), lambda m: m(pixels)),
    }


@torch.inference_mode()
def operations(model: torch.nn.Module, work: Callable[[Any], object]) -> int:
    """Floating point operations of ``work``. A multiplication and its addition count as two."""
    with FlopCounterMode(display=False) as counter:
        work(model.eval())
    return int(counter.get_total_flops())


def rate() -> float:
    """Floating point operations per second of this machine's CPU in 32 bits: the best of ten."""
    one, other = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    took = []
    for _ in range(10):
        began = time.perf_counter()
        one @ other
        took.append(time.perf_counter() - began)
    return 2 * SIDE**3 / min(took)


def main() -> None:
    """Print the operations, and the least time here, of the profile folder-sd-turbo's models."""
    generator = profiles.load("folder-sd-turbo").generator
    here = rate()
    table = Table(title=f"the profile folder-sd-turbo; here {here / 1e9:.0f} GFLOP/s")
    for column in ("model", "million parameters", "GFLOP", "seconds here, at least"):
        table.add_column(column, justify="left" if column == "model" else "right")
    with torch.device("meta"):
        for what, (model, work) in parts(generator.size).items():
            count, weights = operations(model, work), sum(p.numel() for p in model.parameters())
            table.add_row(what, f"{weights / 1e6:.0f}", f"{count / 1e9:.0f}", f"{count / here:.2f}")
    Console().print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
