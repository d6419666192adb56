"""Draws pictures of texts with a diffusion model. No other module imports diffusers.

Each picture has its own seed, derived from its prompt. So a picture does not depend on which others
share its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from components import config
from components.models.batches import ON_CPU, Batches
from components.models.checkpoints import (
    check_tokenizer,
    load,
    load_model,
    placed,
    precision,
)
from components.models.fingerprints import pinned_name
from components.models.quiet import quiet

ON_CPU_PIXELS = 2**20
"""Pixels in one batch on a CPU: four pictures of 512 x 512, for which SDXL takes about 2 GB."""


Order = tuple[str, int]
"""A picture to draw: its prompt and its seed."""


class Picture(NamedTuple):
    """A picture, and whether the model's own safety checker withheld it: then it is black."""

    image: Image.Image
    withheld: bool


class Generator:
    """A text-to-image pipeline of diffusers. The model's model_index.json chooses its class."""

    def __init__(self, params: config.Generator) -> None:
        self.params = params
        model, revision = params.model, params.revision
        # one model at a time: the pipeline's own loader fills missing weights with random numbers
        models = {
            name: load_model(kind.from_pretrained, model, revision, subfolder=name)[0]
            for name, kind in load(_kinds, model, revision).items()
        }
        pipe = load(
            _library().AutoPipelineForText2Image.from_pretrained,
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
        """How many pictures are drawn at once."""
        return self._batches.size

    def to(self, place: Any) -> None:
        """Move the model to another device. It draws only on that of
        :func:`components.models.checkpoints.device`."""
        self._pipe.to(place)

    def draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        """One RGB picture per prompt, ``size`` pixels on each side."""
        return [picture.image for picture in self.draw_all(prompts, seeds)]

    def draw_all(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Picture]:
        """As :meth:`draw`, and whether the model's own safety checker withheld each picture."""
        orders = list(zip(prompts, seeds, strict=True))
        return [picture for pictures in self._batches(orders) for picture in pictures]

    @torch.inference_mode()
    def _draw(self, orders: Sequence[Order]) -> list[Picture]:
        # the noise comes from the CPU, where a seed gives the same numbers on every machine
        output = self._pipe(
            prompt=[prompt for prompt, _ in orders],
            num_inference_steps=self.params.steps,
            guidance_scale=self.params.guidance,
            height=self.params.size,
            width=self.params.size,
            generator=[torch.Generator().manual_seed(seed) for _, seed in orders],
            output_type="pt",
        )
        withheld = getattr(output, "nsfw_content_detected", None) or [False] * len(orders)
        images = map(Image.fromarray, _bytes(output.images))
        return [Picture(*both) for both in zip(images, map(bool, withheld), strict=True)]


def _bytes(images: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Pictures (N, 3, H, W) of values from 0 to 1 as bytes (N, H, W, 3).

    They are rounded as diffusers rounds them, but where they were drawn, so that an accelerator
    hands over a quarter of the bytes.
    """
    levels = (images.float() * 255).round().to(torch.uint8)
    found: npt.NDArray[np.uint8] = levels.permute(0, 2, 3, 1).cpu().numpy()
    return found


def _kinds(model: str, **options: Any) -> dict[str, Any]:
    """The class of each model in a pipeline, by its folder, as model_index.json gives it."""
    kinds = {}
    for name, part in _library().DiffusionPipeline.load_config(model, **options).items():
        match part:
            case [str(library), str(called)]:
                known = library in ("diffusers", "transformers")
                # other names are folders of diffusers, such as that of the safety checker
                home = (
                    import_module(library)
                    if known
                    else getattr(_library().pipelines, library, None)
                )
                kind = getattr(home, called, None)
                if isinstance(kind, type) and issubclass(kind, torch.nn.Module):
                    kinds[name] = kind
    return kinds


@cache
def _library() -> Any:
    """diffusers without its progress bars and warnings, imported after :func:`quiet`."""
    quiet()
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    return diffusers
