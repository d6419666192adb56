"""Measure generation and queries on the bundle that `make run` left, and print a table.

Each figure is the median of several repeats; ratios compare two ways within one run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from components import config
from components.bundle import load
from components.generate import Generator, seed_of
from components.paths import BUNDLE
from components.retrieve import Retriever

REPEATS = 5


def median_seconds(work: Callable[[int], object]) -> float:
    """Median over :data:`REPEATS` of the seconds of ``work(repeat)``, after one warm-up."""
    work(-1)
    took = []
    for repeat in range(REPEATS):
        began = time.perf_counter()
        work(repeat)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> None:
    params, bundle = config.load(), load(BUNDLE)
    names = bundle.categories["category"].tolist()
    generator = Generator(params.generator)
    count = params.generator.batch
    prompts = [params.generator.prompt.format(name) for name in names[:count]]
    seeds = [seed_of(prompt, 0, params.generator.seed) for prompt in prompts]
    loop = median_seconds(
        lambda _: [generator.draw([p], [s]) for p, s in zip(prompts, seeds, strict=True)]
    )
    batch = median_seconds(lambda _: generator.draw(prompts, seeds))

    retriever = Retriever(bundle, params.generator, params.encoders)
    known = median_seconds(lambda repeat: retriever.search(names[repeat], 20))
    new = median_seconds(lambda repeat: retriever.search(f"a new query number {repeat}", 20))

    table = Table(title=f"profile {params.profile}, {len(bundle.pictures)} gallery pictures")
    for column in ("what", "baseline", "measured", "ratio"):
        table.add_column(column)
    table.add_row(
        f"pictures per second: batches of {count} against one prompt at a time",
        f"{count / loop:.1f}",
        f"{count / batch:.1f}",
        f"{loop / batch:.1f}x",
    )
    table.add_row(
        "query: known category against a new text",
        f"{new * 1e3:.0f} ms",
        f"{known * 1e3:.1f} ms",
        f"{new / known:.0f}x",
    )
    Console().print(table)


if __name__ == "__main__":
    main()
