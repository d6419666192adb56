"""Which pictures are wanted, and the recipe of each: everything that the picture depends on.

A picture's address is the hash of its recipe. The recipe is also stored inside the picture.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from components import config
from components.imagining.seeds import seed_of
from components.kinds import Kind
from components.names import fill, folder

Identity = Mapping[str, str | int | float]
"""Everything that a picture depends on, except its prompt and seed: see
:func:`components.imagining.identity.identity`."""


RECIPE = "eidolon"
"""The PNG text chunk that holds the recipe."""


@dataclass(frozen=True)
class Wanted:
    """The ``k``-th picture of a category, by its name or by a description of it (``kind``).
    ``attempt`` counts the rejected ones before it."""

    category: str
    k: int
    prompt: str
    seed: int
    kind: Kind = "class"
    attempt: int = 0

    @property
    def path(self) -> str:
        """The place of the file in the folder of all imagined pictures."""
        return f"{folder(self.category)}/{self.k:02d}.png"

    def again(self, base: int) -> Wanted:
        """The picture that replaces this one after it was rejected.

        ``base`` is the seed of the configuration, ``generator.seed``.
        """
        attempt = self.attempt + 1
        return replace(self, attempt=attempt, seed=seed_of(self.prompt, self.k, base, attempt))


@dataclass(frozen=True)
class Order:
    """A picture to draw. ``address`` is the hash of its recipe, and ``until`` the time, in seconds
    since 1970, after which nobody waits for it any more."""

    prompt: str
    seed: int
    address: str
    until: float


def wanted(
    params: config.Generator,
    categories: Iterable[str],
    descriptions: Mapping[str, Sequence[str]] | None = None,
) -> list[Wanted]:
    """K pictures of each category, and K of its ``descriptions``, which take turns, if it has some.

    A category's pictures are numbered from 0, those of its descriptions from K. Neighbours in the
    list are of different categories, so that few new pictures of many categories fill a batch too.
    """
    names, many = list(categories), params.images_per_category
    prompts = {name: params.prompt_for(name) for name in names}
    found = [
        Wanted(name, k, prompts[name], seed_of(prompts[name], k, params.seed))
        for k in range(many)
        for name in names
    ]
    for i in range(many):
        for name in names:
            if texts := (descriptions or {}).get(name):
                prompt = fill(params.description_prompt, texts[i % len(texts)])
                k = many + i
                seed = seed_of(prompt, k, params.seed)
                found.append(Wanted(name, k, prompt, seed, "description"))
    return found


def recipe_of(prompt: str, seed: int, identity: Identity) -> str:
    """The recipe of a picture: everything that it depends on, as canonical JSON."""
    everything = {**identity, "prompt": prompt, "seed": seed}
    return json.dumps(everything, sort_keys=True, separators=(",", ":"))


def identity_in(recipe: str) -> Identity:
    """The part of ``recipe`` without its prompt and seed."""
    return {k: v for k, v in json.loads(recipe).items() if k not in ("prompt", "seed")}


def address_of(recipe: str) -> str:
    """The address of the picture with this ``recipe``: the recipe's SHA-256, in hex."""
    return hashlib.sha256(recipe.encode()).hexdigest()


def is_address(text: str) -> bool:
    """Whether ``text`` has the form of an address."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def recipe_in(data: bytes) -> str | None:
    """The recipe inside a PNG file, or None if its CRCs show that it is damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            found = image.info.get(RECIPE)
            image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return found if isinstance(found, str) else None
