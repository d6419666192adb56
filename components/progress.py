"""Progress of long work: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")
_EVERY = 5.0  # seconds between two lines in a log


def _one(_: object) -> int:
    return 1


def track(
    items: Sequence[T], what: str, unit: str = "", weigh: Callable[[T], int] = _one
) -> Iterator[T]:
    """Iterate over ``items`` and show progress; an item counts for ``weigh(item)`` units."""
    weights = [weigh(item) for item in items]
    shown = _bar if sys.stderr.isatty() else _lines
    yield from shown(items, what, unit, weights)


def _bar(items: Sequence[T], what: str, unit: str, weights: list[int]) -> Iterator[T]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=sum(weights))
        for item, weight in zip(items, weights, strict=True):
            yield item
            progress.advance(task, weight)


def _lines(items: Sequence[T], what: str, unit: str, weights: list[int]) -> Iterator[T]:
    began = last = time.monotonic()
    done, total = 0, sum(weights)
    for item, weight in zip(items, weights, strict=True):
        yield item
        now = time.monotonic()
        done += weight
        if now - last >= _EVERY or done >= total:
            last = now
            rate = done / max(now - began, 1e-9)
            left = (total - done) / rate
            text = f"{what}: {done}/{total} {unit}".rstrip()
            print(f"{text}  {rate:.0f}/s  {left:.0f} s left", file=sys.stderr, flush=True)
