"""What one picture, one query or one byte costs, each with the command that measured it.

The costs are those of the full-size models: CLIP ViT-L/14, DINOv2-L, SDXL-Turbo at 512 pixels in
one step. docs/benchmarks.md has each figure, with its machine.
"""

from __future__ import annotations

from dataclasses import dataclass

_CARD = "python -m benchmarks.models, one H100 and 16 cores"
_SCALE = "python -m benchmarks.memory_stages, two busy cores, 2 x 64 numbers a picture"
_BY_SIZE = "counted: the bytes of the arrays"


@dataclass(frozen=True)
class Cost:
    """A measured number. ``source`` is the command, or how else it is known."""

    value: float
    unit: str
    source: str


def costs() -> dict[str, Cost]:
    """Every cost by its name."""
    return {
        "drawn": Cost(50.5, "pictures a second and card", _CARD),
        "clip": Cost(535, "pictures a second and card", _CARD),
        "vision": Cost(513, "pictures a second and card", _CARD),
        "served": Cost(6.7, "pictures for new texts a second and card, eight callers", _CARD),
        "text": Cost(0.176, "core seconds to embed a new text", _CARD),
        "searched": Cost(0.62, "core seconds a query and million pictures, at most", _CARD),
        "ingested": Cost(3.05, "core ms a picture", "python -m benchmarks.ingesting, 60,000"),
        "trained": Cost(108, "core seconds an epoch and million training pictures", _SCALE),
        "indexed": Cost(58, "core seconds a million pictures", _SCALE),
        "pairs": Cost(107, "core seconds for pairs in a million pictures", "docs/benchmarks.md"),
        "compared": Cost(324, "core ns a pair of imagined pictures", "python -m benchmarks.copies"),
        "features": Cost(4 * (768 + 1024), "bytes a picture: float32 of both spaces", _BY_SIZE),
        "codes": Cost(0.26 * 4 * (768 + 1024), "bytes a picture", "python -m benchmarks.search"),
        "hubness": Cost(8, "bytes a picture", _BY_SIZE),
        "png": Cost(3 * 512 * 512, "bytes of an imagined picture, at most", _BY_SIZE),
        "memory": Cost(45.7, "GiB of a card for one Imaginer, between batches", _CARD),
    }
