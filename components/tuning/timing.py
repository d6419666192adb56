"""Seconds that drawing and encoding take on this machine, warm, at the best of several times.

The best and not the mean, because other processes can only make a machine slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from components import config
from components.imagining.generator import Generator
from components.models.encoders import ClipEncoder, VisionEncoder

REPEATS = 3
_ENOUGH = 30.0  # seconds after which a slow model is not measured again


@dataclass(frozen=True)
class Seconds:
    """Seconds for one picture in full batches, and for K pictures by themselves, by K."""

    picture: float
    alone: dict[int, float]

    def __add__(self, other: Seconds) -> Seconds:
        """One after the other; both must know the same K."""
        alone = {count: took + other.alone[count] for count, took in self.alone.items()}
        return Seconds(self.picture + other.picture, alone)


def drawing(params: config.Generator, counts: Sequence[int]) -> Seconds:
    """Seconds of the generator."""
    generator = Generator(params)
    prompt = params.prompt_for("a thing")

    def draw(count: int) -> None:
        generator.draw([prompt] * count, list(range(count)))

    return _measured(draw, generator.batch, counts)


def encoding(clip: ClipEncoder, vision: VisionEncoder, side: int, counts: Sequence[int]) -> Seconds:
    """Seconds of both encoders for pictures of ``side`` pixels. The service needs both: CLIP says
    whether a picture shows its text."""
    picture = Image.new("RGB", (side, side))

    def encode(count: int) -> None:
        for encoder in (clip, vision):
            encoder.images([picture] * count)

    return _measured(encode, max(clip.batch, vision.batch), counts)


def best(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The least seconds that ``work`` takes, after one call that does not count."""
    work()
    took: list[float] = []
    while len(took) < REPEATS and sum(took) < _ENOUGH:
        began = clock()
        work()
        took.append(clock() - began)
    return min(took)


def _measured(work: Callable[[int], None], batch: int, counts: Sequence[int]) -> Seconds:
    full = best(lambda: work(batch)) / batch
    return Seconds(full, {count: best(lambda n=count: work(n)) for count in counts})  # type: ignore[misc]
