"""Measure generation and metrics on the bundle that `make run` left, and print a table.

Each figure is the median of several repeats; ratios compare two ways within one run.
"""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import generation, metrics, serving
from components import config
from components.errors import EidolonError, one_sentence
from components.paths import BUNDLE
from components.serving.loading import load


def main() -> None:
    """Measure generation and mAP on what `make run` left (docs/benchmarks.md)."""
    if not BUNDLE.is_dir():
        raise EidolonError(f"{BUNDLE} is missing: run `make run`")
    params, bundle = config.load(), load(BUNDLE)
    names = bundle.categories["category"].tolist()

    table = Table(title=f"profile {params.profile}, {len(bundle.pictures)} gallery pictures")
    for column in ("what", "baseline", "measured", "ratio"):
        table.add_column(column)
    table.add_row(*generation.batches(params.generator, names))
    table.add_row(*generation.one_more(params.generator, names))
    for row in metrics.rows():
        table.add_row(*row)
    Console().print(table)
    serving.main()


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
