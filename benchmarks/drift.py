"""How often the monitor alarms, on made-up logs: `python -m benchmarks.drift`.

It asks the bundle that `make run` left, with its text encoder. Every log has its own seed. The
classifier's AUC stands beside the share that decides, to show why it does not decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import logs
from components import config, names
from components.errors import EidolonError, one_sentence
from components.monitoring import drift, texts
from components.paths import BUNDLE
from components.serving.loading import load
from components.vectors import Array

Log = Callable[[Sequence[str], int, int], list[str]]  # categories, number of queries, seed


def kinds() -> dict[str, tuple[int, Log]]:
    """The number of queries and the maker of each kind of log."""
    return {
        "normal": (2000, logs.normal),
        "normal, few queries": (200, logs.normal),
        "normal, 15 % nonsense": (2000, partial(logs.normal, odd=0.15)),
        "30 % other subjects": (2000, partial(logs.drifted, share=0.3)),
        "50 % other subjects": (2000, partial(logs.drifted, share=0.5)),
        "50 %, few queries": (200, partial(logs.drifted, share=0.5)),
        "only other subjects": (2000, partial(logs.drifted, share=1.0)),
    }


def main(
    seeds: Annotated[int, typer.Option(help="logs of each kind", min=1)] = 20,
) -> None:
    """Print the share of strangers, the AUC and the alarms for each kind of log."""
    if not BUNDLE.is_dir():
        raise EidolonError(f"{BUNDLE} is missing: run `make run`")
    params, bundle = config.load(), load(BUNDLE)
    categories, limits = bundle.categories["category"].tolist(), params.monitor
    embed = texts.embedder(bundle)
    training = embed(drift.training_texts(categories, limits.max_queries, limits.seed))
    table = Table(title=f"{seeds} logs of each kind, {len(categories)} categories")
    for column in ("log", "unlike training texts", "lower bounds", "AUC, all", "AUC, names only"):
        table.add_column(column)
    table.add_column("alarms", justify="right")
    for kind, (count, make) in kinds().items():
        shares, lows, aucs, plain = [], [], [], []
        for seed in range(seeds):
            asked = Counter(names.query_text(text) for text in make(categories, count, seed))
            counts = np.array(list(asked.values()), dtype=np.float64)
            vectors: Array = embed(list(asked))
            found = drift.strangers(vectors, counts, training, limits.seed).share
            shares.append(found.value)
            lows.append(found.low)
            aucs.append(drift.separation(training, vectors, limits.seed, counts) or 0.0)
            plain.append(drift.separation(bundle.text, vectors, limits.seed) or 0.0)
        alarms = sum(low > limits.max_strangers for low in lows)
        table.add_row(kind, *map(_range, (shares, lows, aucs, plain)), f"{alarms} of {seeds}")
    Console(width=120).print(table)


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
