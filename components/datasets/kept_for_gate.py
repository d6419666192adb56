"""Sets some unseen categories aside for the gate, which decides by them what becomes the champion.

Figures that decide are no longer figures of something unseen: what won by them won by chance too.
So the gate has categories of its own, the split `gate`, and reported figures have the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from components import config, names
from components.datasets.adapter import Category
from components.uniform import uniform


def kept_for_gate(categories: Sequence[Category], params: config.Dataset) -> list[Category]:
    """``categories``, with the share ``params.gate_share`` of the unseen ones in the split `gate`.

    A hash of its name and ``params.seed`` decides on each, so a category keeps its split when
    others come or go. One unseen category stays unseen, so that there is something to report.
    """
    place = {c.name: _place(c.name, params.seed) for c in categories if c.split == "unseen"}
    last = max(place, key=lambda name: place[name], default=None)
    kept = {name for name in place if place[name] < params.gate_share and name != last}
    return [replace(c, split="gate") if c.name in kept else c for c in categories]


def _place(name: str, seed: int) -> float:
    """A number from 0 to 1 that follows from the name, however it is written."""
    return uniform(f"gate/{seed}/{names.fold(name)}")
