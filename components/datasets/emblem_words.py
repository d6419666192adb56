"""Other words for emblems: the synonyms that the embedded models learned, and descriptions.

A description uses none of the sentences of :func:`zoo.pictures.caption`, by which the embedded
models were trained: they know its words, but have not seen words in that order.
"""

from __future__ import annotations

from collections.abc import Sequence

SYNONYMS: dict[str, tuple[str, ...]] = {
    "red": ("crimson", "scarlet"),
    "orange": ("amber",),
    "yellow": ("golden",),
    "green": ("emerald",),
    "teal": ("turquoise",),
    "blue": ("azure",),
    "purple": ("violet",),
    "pink": ("rose",),
    "plain": ("solid",),
    "striped": ("stripy",),
    "dotted": ("spotted",),
    "checked": ("chequered",),
    "circle": ("disc",),
    "ring": ("hoop",),
    "crescent": ("moon",),
    "bolt": ("lightning",),
    "cross": ("plus",),
}
WITH = {"plain": "no pattern", "striped": "stripes", "dotted": "dots", "checked": "checks"}


def descriptions(colour: str, pattern: str, shape: str) -> Sequence[str]:
    """Two descriptions of the emblem with these attributes, such as "scarlet, stripy star"."""
    first, last = (SYNONYMS.get(colour, (colour,))[i] for i in (0, -1))
    surface, thing = (SYNONYMS.get(word, (word,))[0] for word in (pattern, shape))
    return f"{last}, {surface} {thing}", f"{surface} {first} {thing}"
