"""Imagining: from texts to pictures with a diffusion model. The one home of diffusers.

Each picture has a seed of its own, derived from its prompt, so what is drawn does not depend on
which pictures share a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import torch
from diffusers import AutoPipelineForText2Image, DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from PIL import Image

from components import config
from components.imagining.seeds import seed_of
from components.models.batches import ON_CPU, Batches
from components.models.checkpoints import (
    check_tokenizer,
    fingerprint,
    load,
    load_model,
    pinned_name,
    placed,
    precision,
)

ON_CPU_PIXELS = 2**20
"""Pixels in one batch on a CPU: four pictures of 512 x 512, which take SDXL about 2 GB."""


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
        _quiet()
        self.params = params
        model, revision = params.model, params.revision
        # each model by itself: the pipeline's own loader fills at random what a checkpoint lacks
        models = {
            name: load_model(kind.from_pretrained, model, revision, subfolder=name)[0]
            for name, kind in load(_kinds, model, revision).items()
        }
        pipe = load(
            AutoPipelineForText2Image.from_pretrained,
            model,
            revision,
            use_safetensors=True,
            dtype=precision(),
            **models,
        )
        for name, part in pipe.components.items():
            if name.startswith("tokenizer") and part is not None:
                check_tokenizer(part, f"{pinned_name(model, revision)}/{name}")
        self._pipe = placed(pipe)
        self._pipe.set_progress_bar_config(disable=True)
        on_cpu = min(ON_CPU, max(1, ON_CPU_PIXELS // params.size**2))
        self._batches = Batches(
            self._draw, (params.prompt, params.seed), params.batch, on_cpu, params.memory_share
        )

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


def _kinds(model: str, **options: Any) -> dict[str, Any]:
    """The class of each model in a pipeline, by its folder, as the model_index.json has it."""
    kinds = {}
    for name, part in DiffusionPipeline.load_config(model, **options).items():
        match part:
            case ["diffusers" | "transformers" as library, str(called)]:
                kind = getattr(import_module(library), called, None)
                if isinstance(kind, type) and issubclass(kind, torch.nn.Module):
                    kinds[name] = kind
    return kinds


@cache
def _quiet() -> None:
    """Leave progress and warnings to our own code."""
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
