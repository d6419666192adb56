"""Train the zoo's AutoencoderKL: 32x32x3 pictures to 8x8x4 latents and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from zoo.loop import train
from zoo.pictures import pictures

BATCH = 32
KL_WEIGHT = 2e-4


def tensor(pixels: np.ndarray) -> Tensor:
    """(N, 32, 32, 3) uint8 to (N, 3, 32, 32) in [-1, 1], as diffusers' VAE takes it."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def build() -> AutoencoderKL:
    """An AutoencoderKL with the zoo's architecture, and random weights from a fixed seed."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=32,
    )


def main(
    steps: Annotated[int, typer.Option(min=1, help="steps of training")] = 4000,
    out: Annotated[Path, typer.Option(help="the folder to write the model to")] = Path(
        "zoo/models/generator/vae"
    ),
) -> None:
    """Train the VAE of the embedded generator."""
    torch.set_num_threads(1)
    vae = build()
    studio, photo = pictures("studio", 100), pictures("photo", 10)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng((3, step))
        some = int(BATCH * 0.85)
        a = studio.pixels[rng.integers(len(studio.labels), size=some)]
        b = photo.pixels[rng.integers(len(photo.labels), size=BATCH - some)]
        x = tensor(np.concatenate([a, b]))
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(x).latent_dist
            back = vae.decode(posterior.sample(generator)).sample.float()
        kl = posterior.kl().float().mean() / x[0].numel()
        return F.l1_loss(back, x) + F.mse_loss(back, x) + KL_WEIGHT * kl * 16

    def report(_: int) -> dict[str, float]:
        with torch.inference_mode():
            x = tensor(studio.pixels[::97][:256])
            latent = vae.encode(x).latent_dist.mode()
            error = float(F.mse_loss(vae.decode(latent).sample.clamp(-1, 1), x)) / 4
        return {
            "psnr": round(-10 * float(np.log10(error)), 2),
            "latent_std": round(float(latent.std()), 3),
        }

    weights = train(
        "vae", vae, loss, steps=steps, lr=1.5e-3, weight_decay=0.0, ema=0.995, report=report
    )
    vae.load_state_dict(weights, strict=False)
    with torch.inference_mode():
        latents = vae.encode(tensor(studio.pixels[::50])).latent_dist.sample()
    vae.register_to_config(scaling_factor=round(1 / float(latents.std()), 4))
    print(report(0), vae.config.scaling_factor)
    vae.save_pretrained(out)


if __name__ == "__main__":
    typer.run(main)
