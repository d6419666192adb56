"""Training data of the zoo's models: pictures of emblems in memory, and noisy captions for them.

Only categories of the ``train`` split are drawn here, so no model sees a validation or unseen
combination. Captions are noisy like web captions: attributes are dropped, reordered or replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from rich.progress import track

from components.datasets.emblem_words import SYNONYMS, WITH
from components.datasets.emblems import PATTERNS, SHAPES, Emblem, Style, draw, emblems, splits
from components.names import fill

SEED = 7
"""Seed of the zoo's own pictures: independent of any dataset made from params.yaml."""

TEMPLATES = ("a photo of a {}", "a picture of a {}", "{}", "a {}", "an image of a {}", "the {}")


@dataclass(frozen=True)
class Pictures:
    """``pixels`` is (N, 32, 32, 3) uint8; ``labels`` (N,) indexes ``names``."""

    pixels: np.ndarray
    labels: np.ndarray
    names: tuple[Emblem, ...]


@cache
def pictures(
    style: Style, per_category: int, split: str = "train", subset: str = "zoo"
) -> Pictures:
    """Draw ``per_category`` pictures of each category of ``split``."""
    split_of = splits()
    names = tuple(c for c in emblems() if split == "all" or split_of[c] == split)
    pixels = np.stack(
        [
            np.asarray(draw(c, seed=SEED, subset=subset, index=i, style=style))
            for c in track(names, description=f"drawing {style} pictures")
            for i in range(per_category)
        ]
    )
    return Pictures(pixels, np.repeat(np.arange(len(names)), per_category), names)


def _word(rng: np.random.Generator, word: str, synonyms: float) -> str:
    others = SYNONYMS.get(word, ())
    return str(rng.choice(others)) if others and rng.uniform() < synonyms else word


def caption(rng: np.random.Generator, category: Emblem, *, noise: float, synonyms: float) -> str:
    """A caption of ``category``.

    With probability ``noise`` it is a poor one: an attribute is missing, or (one time in five)
    wrong. Otherwise it names all three attributes, sometimes in the form "red star with stripes".
    """
    colour, pattern, shape = category.colour, category.pattern, category.shape
    parts = [colour, pattern, shape]
    if rng.uniform() < noise:
        i = int(rng.integers(3))
        if rng.uniform() < 0.2:
            parts[i] = str(rng.choice((list(SYNONYMS)[:8], PATTERNS, SHAPES)[i]))
        else:
            parts[i] = "thing" if i == 2 else ""
    elif rng.uniform() < 0.15:
        colour, pattern, shape = parts
        words = f"{_word(rng, colour, synonyms)} {_word(rng, shape, synonyms)} with {WITH[pattern]}"
        return fill(str(rng.choice(TEMPLATES)), words)
    words = " ".join(_word(rng, p, synonyms) for p in parts if p)
    return fill(str(rng.choice(TEMPLATES)), words)


def corpus(count: int = 20_000) -> list[str]:
    """Captions to train the tokenizer on."""
    rng = np.random.default_rng(SEED)
    pool = emblems()
    return [
        caption(rng, pool[int(rng.integers(len(pool)))], noise=0.3, synonyms=0.3)
        for _ in range(count)
    ]
