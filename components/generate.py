"""Imagining: from texts to pictures with a diffusion model. The one home of diffusers.

Each picture has a seed of its own, derived from its prompt, so what is drawn does not depend on
which pictures share a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoPipelineForText2Image
from diffusers.utils import logging as diffusers_logging
from PIL import Image

from components import config
from components.batches import Batches
from components.checkpoints import device, fingerprint, load, precision
from components.seeds import seed_of

diffusers_logging.set_verbosity_error()
diffusers_logging.disable_progress_bar()


Order = tuple[str, int]
"""A picture to draw: its prompt and its seed."""


def identity(params: config.Generator) -> dict[str, str | int | float]:
    """What a picture depends on beside its prompt and seed. Needs no weights loaded.

    The scheduler and its settings are files of the model, so the fingerprint covers them.
    """
    return {
        "model": fingerprint(params.model, params.revision),
        "steps": params.steps,
        "guidance": params.guidance,
        "size": params.size,
        "dtype": str(precision()).removeprefix("torch."),
    }


class Generator:
    """A text-to-image pipeline of diffusers, chosen by its own model_index.json."""

    def __init__(self, params: config.Generator) -> None:
        self.params = params
        pipe = load(
            AutoPipelineForText2Image.from_pretrained,
            params.model,
            params.revision,
            use_safetensors=True,
            dtype=precision(),
        )
        self._pipe = pipe.to(device())
        self._pipe.set_progress_bar_config(disable=True)
        self._batches = Batches(self._draw, (params.prompt, params.seed), params.batch)

    @property
    def batch(self) -> int:
        """Pictures that are drawn at once."""
        return self._batches.size

    def draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        """One RGB picture per prompt, ``size`` pixels on each side."""
        orders = list(zip(prompts, seeds, strict=True))
        return [image for images in self._batches(orders) for image in images]

    @torch.inference_mode()
    def _draw(self, orders: Sequence[Order]) -> list[Image.Image]:
        # the noise is drawn on the CPU, where a seed gives the same on every machine
        images: list[Image.Image] = self._pipe(
            prompt=[prompt for prompt, _ in orders],
            num_inference_steps=self.params.steps,
            guidance_scale=self.params.guidance,
            height=self.params.size,
            width=self.params.size,
            generator=[torch.Generator().manual_seed(seed) for _, seed in orders],
        ).images
        return images

    def imagine(self, text: str, count: int) -> tuple[list[Image.Image], list[int]]:
        """``count`` pictures of ``text`` in the configured prompt, and their seeds."""
        prompt = self.params.prompt_for(text)
        seeds = [seed_of(prompt, k, self.params.seed) for k in range(count)]
        return self.draw([prompt] * count, seeds), seeds
