"""How fast the models draw and encode, against the plain loop of the documentation.

Each rate is compared with that of the plain loop: one prompt or picture at a time through the
library's own class, in the same precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from benchmarks.timing import median_seconds
from components import config
from components.imagining.generator import Generator
from components.models.checkpoints import device, precision
from components.models.encoders import ClipEncoder, VisionEncoder

T = TypeVar("T")
M = TypeVar("M", Generator, ClipEncoder, VisionEncoder)

ALONE = 16  # items of the plain loop
REPEATS = 3


@dataclass(frozen=True)
class Rate:
    """Items per second, alone and in batches of ``batch``; ``peak`` GiB of memory, 0 on a CPU."""

    what: str
    alone: float
    batched: float
    batch: int
    peak: float


def measure(folder: Path, params: config.Generator, items: int) -> list[Rate]:
    """The rates of the models in ``folder``, over ``items`` pictures in batches."""
    prompts = [f"a photo of a thing, number {i}" for i in range(items)]
    noise = np.random.default_rng(0).integers(0, 256, (params.size, params.size, 3))
    pictures = [Image.fromarray(noise.astype(np.uint8))] * items
    clip, dinov2 = str(folder / "clip"), str(folder / "dinov2")

    def clip_loop() -> Callable[[Image.Image], object]:
        prepare, model = _plain(clip)
        return lambda picture: model.get_image_features(**prepare(picture)).pooler_output.cpu()

    def dinov2_loop() -> Callable[[Image.Image], object]:
        prepare, model = _plain(dinov2)
        return lambda picture: model(**prepare(picture)).pooler_output.cpu()

    def drawing_loop() -> Callable[[str], object]:
        pipe = DiffusionPipeline.from_pretrained(params.model, dtype=precision()).to(device())
        pipe.set_progress_bar_config(disable=True)
        return lambda prompt: pipe(
            prompt,
            num_inference_steps=params.steps,
            guidance_scale=params.guidance,
            height=params.size,
            width=params.size,
        )

    def draw(generator: Generator, some: list[str]) -> object:
        return generator.draw(some, range(len(some)))

    return [
        _compare("pictures drawn", prompts, drawing_loop, lambda: Generator(params), draw),
        _compare(
            "CLIP features of pictures",
            pictures,
            clip_loop,
            lambda: ClipEncoder(clip),
            ClipEncoder.images,
        ),
        _compare(
            "DINOv2 features of pictures",
            pictures,
            dinov2_loop,
            lambda: VisionEncoder(dinov2),
            VisionEncoder.images,
        ),
    ]


def _plain(model: str) -> tuple[Callable[[Image.Image], Any], Any]:
    """What prepares a picture, and the model, as in the documentation of transformers."""
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    loaded = AutoModel.from_pretrained(model, dtype=precision()).eval().to(device())
    return lambda p: processor(p, return_tensors="pt").to(device(), precision()), loaded


def _compare(
    what: str,
    items: list[T],
    plain: Callable[[], Callable[[T], object]],
    ours: Callable[[], M],
    work: Callable[[M, list[T]], object],
) -> Rate:
    """Measure both ways on ``items``. ``plain`` and ``ours`` load a model; only one is in memory at
    a time."""
    _forget()
    alone = _one_by_one(plain(), items[:ALONE])
    _forget()
    model = ours()
    rate = _rate(lambda: work(model, items), len(items))
    return Rate(what, alone, rate, model.batch, _peak())


@torch.inference_mode()
def _one_by_one(work: Callable[[T], object], items: list[T]) -> float:
    return _rate(lambda: [work(item) for item in items], len(items))


def _rate(work: Callable[[], object], items: int) -> float:
    """Items per second, the median of several repeats after one warm-up."""
    return items / median_seconds(lambda _: work(), REPEATS)


def _forget() -> None:
    if device().type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak() -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if device().type == "cuda" else 0.0
