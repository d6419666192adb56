"""What it costs to find the copies among imagined pictures: `python -m benchmarks.copies`.

Each picture is compared with every better one, so the cost grows with the square of their number.
`validate` does this once, and once more after each round of regeneration.
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
from components.validation.appearance import views
from components.validation.judge import nearest_better
from components.vectors import normalized

Counts = Annotated[str, typer.Option(help="how many pictures, with commas")]


def main(pictures: Counts = "1000,4000,10000") -> None:
    """Compare made pictures with each other, once for each number (docs/benchmarks.md)."""
    closest = config.load().validation.min_view_distance
    shape = views(Image.new("RGB", (32, 32))).shape
    table = Table(title="each imagined picture against every better one, once")
    for column in ("pictures", "seconds", "core seconds", "core ns a pair"):
        table.add_column(column, justify="right")
    for count in map(int, pictures.split(",")):
        rng = np.random.default_rng(0)
        made = normalized(rng.standard_normal((count, *shape), dtype=np.float32))
        began, worked = time.perf_counter(), time.process_time()
        nearest_better(made, closest)
        took, work = time.perf_counter() - began, time.process_time() - worked
        pair = 1e9 * work / (count * (count - 1) / 2)
        table.add_row(f"{count:,}", f"{took:.2f}", f"{work:.2f}", f"{pair:.0f}")
    Console().print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
