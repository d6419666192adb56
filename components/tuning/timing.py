"""Seconds that drawing and encoding take on this machine.

Everything is timed once in each of several rounds, and the least time counts: other processes can
only make a machine slower, and seldom in every round. The first round warms up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from PIL import Image

from components import config
from components.imagining.generator import Generator
from components.models.encoders import ClipEncoder, VisionEncoder
from components.progress import track

Key = TypeVar("Key")

ROUNDS = 6
_LEAST = 2  # rounds, however slow a model is
_ENOUGH = 180.0  # seconds after which no further round begins


@dataclass(frozen=True)
class Seconds:
    """Seconds for one picture in full batches, and for K pictures by themselves, by K."""

    picture: float
    alone: dict[int, float]

    def __add__(self, other: Seconds) -> Seconds:
        """One after the other; both must know the same K."""
        alone = {count: took + other.alone[count] for count, took in self.alone.items()}
        return Seconds(self.picture + other.picture, alone)


def drawing(settings: Sequence[config.Generator], counts: Sequence[int]) -> list[Seconds]:
    """Seconds of the generator with each of ``settings``, which share one model and size."""
    generator = Generator(settings[0])
    prompt = settings[0].prompt_for("a thing")

    def draw(setting: config.Generator, count: int) -> None:
        generator.params = setting  # the weights do not depend on it
        generator.draw([prompt] * count, list(range(count)))

    batch = generator.batch
    works = {
        (i, count): partial(draw, setting, count)
        for i, setting in enumerate(settings)
        for count in (*counts, batch)
    }
    found = best(works, "time the generator")
    return [
        Seconds(found[i, batch] / batch, {count: found[i, count] for count in counts})
        for i in range(len(settings))
    ]


def encoding(clip: ClipEncoder, vision: VisionEncoder, side: int, counts: Sequence[int]) -> Seconds:
    """Seconds of both encoders for pictures of ``side`` pixels. The service needs both: CLIP says
    whether a picture shows its text."""
    picture = Image.new("RGB", (side, side))

    def encode(count: int) -> None:
        for encoder in (clip, vision):
            encoder.images([picture] * count)

    batch = max(clip.batch, vision.batch)
    found = best({count: partial(encode, count) for count in (*counts, batch)}, "time the encoders")
    return Seconds(found[batch] / batch, {count: found[count] for count in counts})


def best(
    works: Mapping[Key, Callable[[], object]],
    what: str,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, float]:
    """The least seconds of each of ``works`` in all rounds. ``what`` names them in the progress
    lines."""
    found = dict.fromkeys(works, math.inf)
    first = clock()
    for done in range(ROUNDS):
        if done >= _LEAST and clock() - first > _ENOUGH:
            break
        for key, work in track(list(works.items()), f"{what}, round {done + 1}"):
            began = clock()
            work()
            found[key] = min(found[key], clock() - began)
    return found
