"""The service under load: `python -m benchmarks.serving` builds a Bento, serves it, and asks it.

Each figure has its baseline in the same run: the same query in this process, one caller instead of
eight, or the service at rest instead of while it draws.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import faults
from benchmarks.apart import served_apart
from components import config
from components.errors import one_sentence
from components.paths import BUNDLE

KNOWN = 400  # known queries for each number of callers
FRESH = 48  # new texts for each way of asking
PHRASES = ("a {} {} with a {} edge", "one {} {} beside a {} one", "the {} {} and a {} ground")

Ask = Callable[[httpx.AsyncClient, str], Awaitable[float]]


class Took(NamedTuple):
    """Milliseconds at the 50th, 95th and 99th percentile, requests per second, and how many were
    not answered with 200."""

    p50: float
    p95: float
    p99: float
    rate: float
    refused: int

    def __str__(self) -> str:
        return f"{self.p50:.1f} / {self.p95:.1f} / {self.p99:.1f} ms, {self.rate:.1f}/s"


class Texts:
    """Texts of known words that nobody has asked for yet."""

    def __init__(self, categories: Sequence[str]) -> None:
        self._words = [name.split() for name in categories]
        self._rng = np.random.default_rng(0)
        self._given: set[str] = set()

    def __call__(self, count: int) -> list[str]:
        """``count`` new ones."""
        found: list[str] = []
        while len(found) < count:
            picks = self._rng.integers(len(self._words), size=3)
            words = [self._words[pick] for pick in picks]
            phrase = PHRASES[int(self._rng.integers(len(PHRASES)))]
            text = phrase.format(words[0][0], words[1][-1], words[2][0])
            if text not in self._given:
                self._given.add(text)
                found.append(text)
        return found


async def search(client: httpx.AsyncClient, query: str) -> float:
    """The seconds of one search; NaN if it was refused."""
    began = time.perf_counter()
    answer = await client.post("/search", json={"query": query, "mode": "fused"})
    return time.perf_counter() - began if answer.status_code == 200 else float("nan")


async def first_event(client: httpx.AsyncClient, query: str) -> float:
    """The seconds until the first event of a streamed search."""
    began = time.perf_counter()
    body = {"query": query, "mode": "fused"}
    async with client.stream("POST", "/search/stream", json=body) as response:
        lines = response.aiter_lines()
        await anext(lines)
        took = time.perf_counter() - began
        async for _ in lines:
            pass
    return took


async def load(client: httpx.AsyncClient, ask: Ask, queries: Sequence[str], callers: int) -> Took:
    """Ask all ``queries``, ``callers`` at a time."""
    left = list(reversed(queries))
    took: list[float] = []

    async def caller() -> None:
        while left:
            took.append(await ask(client, left.pop()))

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - began
    fine = np.array([one for one in took if one == one])
    at = np.percentile(1000 * fine, [50, 95, 99]) if len(fine) else [float("nan")] * 3
    p50, p95, p99 = map(float, at)
    return Took(p50, p95, p99, len(fine) / seconds, len(took) - len(fine))


def in_process(names: Sequence[str]) -> Took:
    """The known queries ``names`` in this process, without HTTP."""
    from components.serving.loading import load as load_bundle
    from components.serving.retriever import How, Retriever

    retriever = Retriever(load_bundle(BUNDLE), config.load().encoders)
    bundle = retriever.bundle

    def answer(name: str) -> float:
        began = time.perf_counter()
        asked = retriever.ask(name)
        row = asked.row or 0
        aggregated, _ = retriever.aggregate(bundle.imagined[row][bundle.accepted[row]])
        retriever.rank(asked, aggregated, How())
        return time.perf_counter() - began

    took = [answer(name) for name in names]
    p50, p95, p99 = map(float, np.percentile([1000 * one for one in took], [50, 95, 99]))
    return Took(p50, p95, p99, len(took) / sum(took), 0)


async def measure(url: str, names: Sequence[str], texts: Texts, table: Table) -> None:
    """Add what the service at ``url`` does to ``table``."""
    limits = httpx.Limits(max_connections=200)
    known = [names[i % len(names)] for i in range(KNOWN)]
    async with httpx.AsyncClient(base_url=url, timeout=300, trust_env=False, limits=limits) as one:
        await load(one, search, [*known[:50], *texts(8)], 4)  # warm up
        alone = in_process(known)
        gc.freeze()  # or this process would wait for its own garbage while it measures
        table.add_row("known queries, in this process", "", str(alone), "")
        rest = None
        for callers in (1, 8, 32):
            took = await load(one, search, known, callers)
            rest = took if callers == 8 else rest
            slower = f"{took.p50 / alone.p50:.1f}x"
            table.add_row(
                f"known queries by HTTP, {callers} callers", str(alone), str(took), slower
            )
        assert rest is not None
        await _first_events(one, texts, table)
        single = await load(one, search, texts(FRESH // 2), 1)
        eight = await load(one, search, texts(FRESH), 8)
        gain = f"{eight.rate / single.rate:.2f}x the rate"
        table.add_row("new texts: 8 callers against 1", str(single), str(eight), gain)
        drawing = asyncio.create_task(load(one, search, texts(64), 64))
        await asyncio.sleep(0.2)
        busy = await load(one, search, known, 8)
        during = await drawing
        what = f"known queries of 8 callers, while 64 new texts are drawn ({busy.refused} refused)"
        table.add_row(what, str(rest), str(busy), f"p95 {busy.p95 / rest.p95:.1f}x")
        table.add_row(f"those 64 new texts ({during.refused} refused)", "", str(during), "")


async def _first_events(client: httpx.AsyncClient, texts: Texts, table: Table) -> None:
    idle = await load(client, first_event, texts(16), 1)
    drawing = asyncio.create_task(load(client, search, texts(16), 16))
    await asyncio.sleep(0.1)
    busy = await load(client, first_event, texts(16), 1)
    await drawing
    table.add_row("first event of a stream, by text alone", "", str(idle), "")
    table.add_row(
        "the same, while 16 texts are drawn",
        str(idle),
        str(busy),
        f"p95 {busy.p95 / idle.p95:.1f}x",
    )


def main() -> None:
    """Measure the service on what `make run` left (docs/benchmarks.md)."""
    table = Table(title="p50 / p95 / p99, requests per second")
    for column in ("what", "baseline", "measured", "ratio"):
        table.add_column(column)
    with served_apart(config.load().serve) as url:
        listed = httpx.get(f"{url}/categories", trust_env=False).json()["categories"]
        names: list[Any] = [row["category"] for row in listed]
        asyncio.run(measure(url, names, Texts(names), table))
        for process in faults.server_at(int(url.rpartition(":")[2])):
            used = process.memory_full_info().uss / 2**20
            kind = faults.kind_of(process)
            table.add_row(f"memory of a process: {kind}", "", f"{used:.0f} MiB", "")
    Console(width=150).print(table)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
