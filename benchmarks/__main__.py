"""Measure generation and queries on the bundle that `make run` left, and print a table.

Each figure is the median of several repeats; ratios compare two ways within one run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import generation, metrics
from components import config
from components.errors import EidolonError, one_sentence
from components.paths import BUNDLE
from components.serving.loading import load
from components.serving.retriever import Retriever

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
    """Measure generation, queries and mAP on what `make run` left (docs/benchmarks.md)."""
    if not BUNDLE.is_dir():
        raise EidolonError(f"{BUNDLE} is missing: run `make run`")
    params, bundle = config.load(), load(BUNDLE)
    names = bundle.categories["category"].tolist()

    retriever = Retriever(bundle, params.generator, params.encoders, params.serve.remembered_texts)
    known = median_seconds(lambda repeat: retriever.search(names[repeat], 20))
    new = median_seconds(lambda repeat: retriever.search(f"a new query number {repeat}", 20))

    table = Table(title=f"profile {params.profile}, {len(bundle.pictures)} gallery pictures")
    for column in ("what", "baseline", "measured", "ratio"):
        table.add_column(column)
    table.add_row(*generation.batches(params.generator, names, median_seconds))
    table.add_row(*generation.one_more(params.generator, names))
    table.add_row(*generation.nothing_new())
    table.add_row(
        "query: known category against a new text",
        f"{new * 1e3:.0f} ms",
        f"{known * 1e3:.1f} ms",
        f"{new / known:.0f}x",
    )
    for row in metrics.rows():
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
