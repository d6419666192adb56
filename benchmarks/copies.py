"""What it costs to find the copies among imagined pictures: `python -m benchmarks.copies`.

Each picture is compared with every other one once, so the first cost grows with the square of their
number. After that only what is new is compared: a round of regeneration, or one more category.
"""

from __future__ import annotations

import time
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from components import config
from components.errors import one_sentence
from components.features.store import of_texts
from components.validation.appearance import views
from components.validation.likeness import Likeness
from components.vectors import normalized

Counts = Annotated[str, typer.Option(help="how many pictures, with commas")]
NEW = 12  # pictures of one more category


def main(pictures: Counts = "1000,4000,10000") -> None:
    """Compare made pictures with each other, once for each number (docs/benchmarks.md)."""
    closest = config.load().validation.min_view_distance
    shape = views(Image.new("RGB", (32, 32))).shape
    table = Table(title="the nearest better one of each imagined picture")
    for column in ("pictures", "core seconds", "core ns a pair", f"and of {NEW} more", "share"):
        table.add_column(column, justify="right")
    for count in map(int, pictures.split(",")):
        rng = np.random.default_rng(0)
        made = normalized(rng.standard_normal((count + NEW, *shape), dtype=np.float32))
        contents = of_texts([str(number) for number in range(count + NEW)])
        likeness, work = Likeness(), []
        for some in (slice(0, count), slice(0, count + NEW)):
            worked = time.process_time()
            likeness.nearest_better(contents[some], made[some], closest)
            work.append(time.process_time() - worked)
        first, more = work
        pair = 1e9 * first / (count * (count - 1) / 2)
        row = f"{first:.2f}", f"{pair:.0f}", f"{more:.2f}", f"{more / first:.3f}"
        table.add_row(f"{count:,}", *row)
    Console().print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
