"""Makes pictures ready for a model: scaled, cropped, as numbers.

A large model on an accelerator takes pictures faster than one thread prepares them, so several
threads do. On a CPU the model itself needs all cores, and one thread prepares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from PIL import Image

from components.models.checkpoints import device
from components.threads import cpus

THREADS = 8  # more bring nothing: `python -m benchmarks.models`
_TOGETHER = 8  # pictures that a thread takes at once

Processor = Callable[..., Any]


def prepared(processor: Processor, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
    """What ``processor``, one of transformers', makes of N pictures, by the names of the model's
    arguments: `pixel_values` (N, 3, H, W) and whatever else."""
    threads = 1 if device().type == "cpu" else min(THREADS, cpus())
    return in_threads(processor, images, threads)


def in_threads(
    processor: Processor, images: Sequence[Image.Image], threads: int
) -> dict[str, torch.Tensor]:
    """The same, by a number of ``threads``."""

    def part(some: Sequence[Image.Image]) -> Any:
        return processor(images=list(some), return_tensors="pt")

    if threads == 1 or len(images) <= _TOGETHER:
        return dict(part(images))
    groups = [images[i : i + _TOGETHER] for i in range(0, len(images), _TOGETHER)]
    with ThreadPoolExecutor(threads, thread_name_prefix="prepare") as pool:
        parts = list(pool.map(part, groups))
    return {name: torch.cat([one[name] for one in parts]) for name in parts[0]}
