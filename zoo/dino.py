"""Train the zoo's Dinov2Model from scratch: pictures of one category get similar embeddings.

The real DINOv2 is self-supervised on 142 million pictures. This stand-in has its architecture and
its role: a strong image encoder that has never seen a word. It learns first from pairs of pictures.
Then, like DINO, it learns from prototypes, which are discarded afterwards: first one for each
training category, and at last one for each colour, pattern and shape, whose sum stands for a
category. Because of these last ones it can tell new combinations apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model

from components.datasets.emblems import COLOURS, PATTERNS, SHAPES, Emblem
from zoo.clip import MEAN, STD, tensor
from zoo.evaluate import image_to_image_map
from zoo.loop import train
from zoo.pictures import Pictures, pictures

Rng = np.random.Generator

PAIRS = 64
PAIR_TEMPERATURE = 0.1
PAIR_STEPS = 4000
PROTOTYPE_STEPS = 3000
ATTRIBUTE_STEPS = 4000
STEPS = PAIR_STEPS + PROTOTYPE_STEPS + ATTRIBUTE_STEPS
PROTOTYPE_TEMPERATURE = 0.05
PHOTOS, STUDIO = 400, 40  # pictures of each category
SHIFT, CUT = 4, (4, 10)  # pixels: the largest shift, and the sides of a painted rectangle


class Student(nn.Module):
    """The encoder and the prototypes of the second and third phase."""

    def __init__(self, names: Sequence[Emblem]) -> None:
        super().__init__()
        self.encoder = build()
        self.encoder.set_attn_implementation("eager")  # twice as fast as sdpa in bfloat16 on a CPU
        width = self.encoder.config.hidden_size
        self.prototypes = nn.Parameter(torch.randn(len(names), width) * 0.1)
        known = tuple(COLOURS), PATTERNS, SHAPES
        self.attributes = nn.ParameterList(torch.randn(len(of), width) * 0.1 for of in known)
        self.parts = torch.tensor(
            [
                [of.index(part) for of, part in zip(known, astuple(name), strict=True)]
                for name in names
            ]
        )

    def composed(self) -> Tensor:
        """(categories, d) of length one: the sum of each category's colour, pattern and shape."""
        parts = [
            F.normalize(prototypes, dim=-1)[self.parts[:, i]]
            for i, prototypes in enumerate(self.attributes)
        ]
        return F.normalize(torch.stack(parts).sum(0), dim=-1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, d) of length one."""
        with torch.autocast("cpu", torch.bfloat16):
            features = self.encoder(pixel_values=pixels).pooler_output
        return F.normalize(features.float(), dim=-1)


def build() -> Dinov2Model:
    """A Dinov2Model with the zoo's architecture, and random weights from a fixed seed."""
    torch.manual_seed(0)
    return Dinov2Model(
        Dinov2Config(
            hidden_size=96,
            num_hidden_layers=4,
            num_attention_heads=4,
            mlp_ratio=4,
            image_size=32,
            patch_size=4,
        )
    )


def save(model: Dinov2Model, out: Path) -> None:
    """Write a folder that ``from_pretrained`` reads: weights and image processor."""
    model.save_pretrained(out)
    BitImageProcessorPil(
        size={"shortest_edge": 32},
        crop_size={"height": 32, "width": 32},
        image_mean=list(MEAN),
        image_std=list(STD),
    ).save_pretrained(out)


def disturbed(pictures: np.ndarray, rng: Rng) -> np.ndarray:
    """``pictures`` (N, 32, 32, 3), each shifted a little, and three in ten with a rectangle painted
    over."""
    side = pictures.shape[1]
    padding = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0))
    around = np.pad(pictures, padding, mode="reflect")
    result = np.empty_like(pictures)
    for i, (dy, dx) in enumerate(rng.integers(2 * SHIFT + 1, size=(len(pictures), 2))):
        result[i] = around[i, dy : dy + side, dx : dx + side]
        if rng.uniform() < 0.3:
            height, width = rng.integers(*CUT, size=2)
            top, left = rng.integers(side - height), rng.integers(side - width)
            result[i, top : top + height, left : left + width] = rng.integers(256, size=3)
    return result


def main(
    steps: Annotated[int, typer.Option(min=1, help="steps of training")] = STEPS,
    out: Annotated[Path, typer.Option(help="the folder to write the model to")] = Path(
        "zoo/models/dino"
    ),
) -> None:
    """Train the embedded picture encoder."""
    torch.set_num_threads(1)
    photo, studio = pictures("photo", PHOTOS), pictures("studio", STUDIO)
    student = Student(photo.names)

    def some(source: Pictures, categories: np.ndarray, each: int, rng: Rng) -> np.ndarray:
        return source.pixels[categories * each + rng.integers(each, size=len(categories))]

    def half_clean(categories: np.ndarray, rng: Rng) -> np.ndarray:
        """One picture of each category, of which four in ten are studio pictures."""
        clean = rng.uniform(size=len(categories))[:, None, None, None] < 0.4
        photos = some(photo, categories, PHOTOS, rng)
        return np.where(clean, some(studio, categories, STUDIO, rng), photos)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng((2, step))
        if step < PAIR_STEPS:
            chosen = rng.permutation(len(photo.names))[:PAIRS]
            both = np.concatenate([some(photo, chosen, PHOTOS, rng), half_clean(chosen, rng)])
            a, b = student(tensor(both)).chunk(2)
            logits, target = a @ b.T / PAIR_TEMPERATURE, torch.arange(PAIRS)
            return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        chosen = rng.integers(len(photo.names), size=2 * PAIRS)
        batch = half_clean(chosen, rng)
        if step < PAIR_STEPS + PROTOTYPE_STEPS:
            features, prototypes = student(tensor(batch)), F.normalize(student.prototypes, dim=-1)
        else:
            features, prototypes = student(tensor(disturbed(batch, rng))), student.composed()
        logits = features @ prototypes.T / PROTOTYPE_TEMPERATURE
        return F.cross_entropy(logits, torch.from_numpy(chosen))

    def report(_: int) -> dict[str, float]:
        student.eval()
        result = image_to_image_map(student.encoder, tensor)
        student.train()
        return result

    weights = train(
        "dino",
        student,
        loss,
        steps=steps,
        lr=1e-3,
        weight_decay=0.05,
        ema=0.995,
        report=report,
    )
    student.load_state_dict(weights, strict=False)
    student.eval()
    print(image_to_image_map(student.encoder, tensor))
    save(student.encoder, out)


if __name__ == "__main__":
    typer.run(main)
