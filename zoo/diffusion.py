"""Train the zoo's StableDiffusionPipeline: text encoder and UNet, on the latents of the zoo's VAE.

Velocity prediction (Salimans & Ho 2022) with classifier-free guidance: one caption in ten is
empty. It learns from studio pictures with clean captions of the training combinations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from components.datasets.emblems import emblems, splits
from zoo.loop import WORK, train
from zoo.pictures import caption, pictures
from zoo.tokenizer import LENGTH, train_tokenizer
from zoo.vae import tensor

BATCH = 32
SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "steps_offset": 1,
}


class Denoiser(nn.Module):
    """Text encoder and UNet, trained together."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=64,
                intermediate_size=256,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=LENGTH,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        self.unet = UNet2DConditionModel(
            sample_size=8,
            down_block_types=("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2,
            block_out_channels=(64, 96),
            layers_per_block=1,
            cross_attention_dim=64,
            attention_head_dim=4,
            norm_num_groups=16,
        )

    def forward(self, noisy: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        return self.unet(noisy, t, self.text(ids).last_hidden_state).sample


def pipeline(
    denoiser: Denoiser, vae: AutoencoderKL, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """The pipeline of these parts, as it is shipped: DPM-Solver++ with trailing timesteps."""
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=denoiser.text,
        tokenizer=tokenizer,
        unet=denoiser.unet,
        scheduler=DPMSolverMultistepScheduler(**SCHEDULE, timestep_spacing="trailing"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sheet(pipe: StableDiffusionPipeline, path: Path) -> None:
    """Four pictures for each of sixteen categories, half of them trained and half unseen, as one
    PNG."""
    pipe.set_progress_bar_config(disable=True)
    split_of = splits()
    wanted = [c for c in emblems() if split_of[c] == "train"][::25][:8]
    wanted += [c for c in emblems() if split_of[c] == "unseen"][::10][:8]
    pictures_ = pipe(
        [f"a photo of a {c.name}" for c in wanted],
        num_inference_steps=10,
        guidance_scale=3.0,
        num_images_per_prompt=4,
        height=32,
        width=32,
        generator=torch.Generator().manual_seed(0),
    ).images
    image = Image.new("RGB", (16 * 32, 4 * 32))
    for i, picture in enumerate(pictures_):
        image.paste(picture, (i // 4 * 32, i % 4 * 32))
    image.resize((16 * 64, 4 * 64), Image.Resampling.NEAREST).save(path)


def main(
    steps: Annotated[int, typer.Option(min=1, help="steps of training")] = 20_000,
    out: Annotated[Path, typer.Option(help="the generator's folder, which holds the VAE")] = Path(
        "zoo/models/generator"
    ),
) -> None:
    """Train the embedded generator, whose VAE must be there."""
    torch.set_num_threads(1)
    tokenizer = train_tokenizer()
    vae = AutoencoderKL.from_pretrained(out / "vae")
    data = pictures("studio", 100)
    with torch.inference_mode():
        chunks = [
            vae.encode(tensor(data.pixels[i : i + 200])).latent_dist.mode()
            for i in range(0, len(data.labels), 200)
        ]
    latents = torch.cat(chunks).clone() * vae.config.scaling_factor
    noise_schedule = DDPMScheduler(**SCHEDULE)
    denoiser = Denoiser(tokenizer)
    denoiser.unet.set_attn_processor(AttnProcessor())  # twice as fast as sdpa in bfloat16 on a CPU

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng((4, step))
        rows = rng.integers(len(data.labels), size=BATCH)
        words = [
            "" if rng.uniform() < 0.1 else caption(rng, data.names[k], noise=0.0, synonyms=0.15)
            for k in data.labels[rows]
        ]
        ids = tokenizer(words, padding="max_length", truncation=True, return_tensors="pt").input_ids
        clean = latents[torch.from_numpy(rows)]
        noise = torch.randn(clean.shape, generator=generator)
        t = torch.randint(0, 1000, (BATCH,), generator=generator)
        noisy = noise_schedule.add_noise(clean, noise, t)
        with torch.autocast("cpu", torch.bfloat16):
            velocity = denoiser(noisy, t, ids)
        return F.mse_loss(velocity.float(), noise_schedule.get_velocity(clean, noise, t))

    def report(step: int) -> dict[str, float]:
        denoiser.eval()
        sheet(pipeline(denoiser, vae, tokenizer), WORK / f"sheet-{step:06d}.png")
        denoiser.train()
        return {}

    weights = train(
        "diffusion", denoiser, loss, steps=steps, lr=1e-3, ema=0.999, every=500, report=report
    )
    denoiser.load_state_dict(weights, strict=False)
    denoiser.eval()
    pipe = pipeline(denoiser, vae, tokenizer)
    sheet(pipe, WORK / "sheet-final.png")
    pipe.save_pretrained(out)


if __name__ == "__main__":
    typer.run(main)
