"""Shows the progress of long work: as a bar on a terminal, as a line every few seconds in a log."""

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
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
Log = Callable[[str], None]
"""Takes a line of text for people to read."""

_EVERY = 5.0  # seconds between two lines in a log


def _per_second(rate: float) -> str:
    return f"{rate:.1f}/s" if rate < 10 else f"{rate:.0f}/s"


def _one(_: object) -> int:
    return 1


def track(
    items: Sequence[T], what: str, unit: str = "", weigh: Callable[[T], int] = _one
) -> Iterator[T]:
    """Yield ``items`` and show the progress. An item counts as ``weigh(item)`` units."""
    weights = [weigh(item) for item in items]
    shown = _bar if sys.stderr.isatty() else _lines
    yield from shown(items, what, unit, weights)


def note(text: str) -> None:
    """Print a line where progress is shown: on stderr."""
    print(text, file=sys.stderr, flush=True)


class _Rate(ProgressColumn):
    """Units per second, averaged over the last seconds."""

    def render(self, task: Task) -> Text:
        """The rate as text, empty at the start."""
        return Text("" if task.speed is None else _per_second(task.speed))


def _bar(items: Sequence[T], what: str, unit: str, weights: list[int]) -> Iterator[T]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        _Rate(),
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
            print(f"{text}  {_per_second(rate)}  {left:.0f} s left", file=sys.stderr, flush=True)
