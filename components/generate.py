"""Imagining: from texts to pictures with a diffusion model. The one home of diffusers.

Each picture has a seed of its own, derived from its prompt, so what is drawn does not depend on
which pictures share a batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from diffusers import AutoPipelineForText2Image
from diffusers.utils import logging as diffusers_logging
from PIL import Image

from components import config, manifest
from components.checkpoints import device, fingerprint, load
from components.files import folder_aside, sha256
from components.paths import DATASET, IMAGINED
from components.progress import track

diffusers_logging.set_verbosity_error()
diffusers_logging.disable_progress_bar()


def seed_of(prompt: str, k: int, base: int) -> int:
    """The seed of the ``k``-th picture of ``prompt``: 31 bits of a hash."""
    digest = hashlib.sha256(f"{base}/{k}/{prompt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class Generator:
    """A text-to-image pipeline of diffusers, chosen by its own model_index.json."""

    def __init__(self, params: config.Generator) -> None:
        self.params = params
        self._device = device()
        pipe = load(
            AutoPipelineForText2Image.from_pretrained,
            params.model,
            params.revision,
            use_safetensors=True,
            dtype=torch.float16 if self._device.type == "cuda" else torch.float32,
        )
        self._pipe = pipe.to(self._device)
        self._pipe.set_progress_bar_config(disable=True)

    @torch.inference_mode()
    def draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        """One RGB picture per prompt, ``size`` pixels on each side."""
        images: list[Image.Image] = self._pipe(
            prompt=list(prompts),
            num_inference_steps=self.params.steps,
            guidance_scale=self.params.guidance,
            height=self.params.size,
            width=self.params.size,
            generator=[torch.Generator().manual_seed(s) for s in seeds],
        ).images
        return images

    def imagine(self, text: str, count: int) -> tuple[list[Image.Image], list[int]]:
        """``count`` pictures of ``text`` in the configured prompt, and their seeds."""
        prompt = self.params.prompt.format(text)
        seeds = [seed_of(prompt, k, self.params.seed) for k in range(count)]
        return self.draw([prompt] * count, seeds), seeds


def generate(
    params: config.Generator, dataset: Path = DATASET, out: Path = IMAGINED
) -> pd.DataFrame:
    """The stage `generate`: K pictures of every category of the dataset, with a manifest."""
    made_by = "dvc repro dataset"
    names = manifest.read(dataset, manifest.DATASET_COLUMNS, made_by)["category"].unique()
    generator = Generator(params)
    model = fingerprint(params.model, params.revision)
    # pictures of one batch come from different categories: small increments fill it too
    jobs = [
        (name, k, params.prompt.format(name))
        for k in range(params.images_per_category)
        for name in names
    ]
    batches = [jobs[i : i + params.batch] for i in range(0, len(jobs), params.batch)]
    rows = []
    with folder_aside(out) as aside:
        for batch in track(batches, "generate", "pictures", weigh=len):
            prompts = [prompt for _, _, prompt in batch]
            seeds = [seed_of(prompt, k, params.seed) for _, k, prompt in batch]
            for (name, k, prompt), seed, image in zip(
                batch, seeds, generator.draw(prompts, seeds), strict=True
            ):
                path = Path(name.replace(" ", "_").replace("/", "_")) / f"{k:02d}.png"
                (aside / path).parent.mkdir(exist_ok=True)
                image.save(aside / path)
                digest = sha256(aside / path)
                rows.append((path.as_posix(), name, prompt, seed, model, digest))
        frame = pd.DataFrame(rows, columns=list(manifest.IMAGINED_COLUMNS))
        frame = frame.sort_values("path", ignore_index=True)
        manifest.write(aside, frame)
    return frame
