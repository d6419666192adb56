"""Does the service stay right and of one size? `python -m benchmarks.soak --requests 20000`.

A Bento of the bundle is served with a generator that fails at random and is killed every half
minute, and callers ask it everything at once. Each answer is judged. With `--bad 10000` the
requests are those that nobody should send, and nothing is killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import repeat, takewhile
from random import Random
from typing import Annotated

import httpx
import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.apart import served_apart
from benchmarks.asking import Ask, Asking, WrongError
from benchmarks.faults import imaginers, plant, resident, server_at
from components import config
from components.errors import one_sentence
from components.paths import BUNDLE
from components.serving.loading import load

CALLERS = 16
KILL_SECONDS = 30.0  # between two kills of the Imaginer
SHARE = 0.1  # of the batches fails
ASLEEP = 1.0  # seconds of a planted delay
SHORT = {"timeout_seconds": 20.0, "imagine_seconds": 8.0, "body_seconds": 5.0}
"""BentoML keeps a timer for each request until it would have timed out. So memory grows until that
time has passed once, and it is measured after that."""
WARM_SECONDS = 2 * SHORT["timeout_seconds"]
GROWTH, SLACK = 0.05, 16.0  # of the memory after warming up, and MiB beside that, at most
SHOWN = 10  # wrong answers that are printed


class Soak:
    """Callers that ask at random, and what became of their requests."""

    def __init__(self, port: int, client: httpx.AsyncClient, asks: dict[str, tuple[int, Ask]]):
        """``asks`` has the weight and the function of each kind of request."""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.memory: list[dict[str, float]] = []
        self.away: list[float] = []
        self._port, self._client, self._asks = port, client, asks

    async def run(self, count: int, killing: bool, progress: Progress) -> None:
        """Warm up, then ask ``count`` times, and measure before, between and after that."""
        killer = asyncio.create_task(self._kill()) if killing else None
        task = progress.add_task("warming up", total=None)
        until = time.monotonic() + WARM_SECONDS
        await self._callers(takewhile(lambda _: time.monotonic() < until, repeat(None)))
        self.outcomes.clear()
        self._measure()
        for half, what in ((count // 2, "the first half"), (count - count // 2, "the second")):
            progress.update(task, description=what, total=half, completed=0)
            await self._callers(progress.track(range(half), task_id=task))
            self._measure()
        if killer is not None:
            killer.cancel()
            with suppress(asyncio.CancelledError):
                await killer

    async def _callers(self, tickets: Iterable[object]) -> None:
        shared = iter(tickets)
        await asyncio.gather(*(self._caller(shared, Random(i)) for i in range(CALLERS)))

    async def _caller(self, tickets: Iterable[object], rng: Random) -> None:
        kinds = list(self._asks)
        weights = [weight for weight, _ in self._asks.values()]
        for _ in tickets:
            (kind,) = rng.choices(kinds, weights)
            try:
                outcome = await self._asks[kind][1]()
            except (WrongError, TimeoutError, httpx.HTTPError) as error:
                outcome = "wrong"
                self.wrong.append(f"{kind}: {str(error) or type(error).__name__}")
            self.outcomes[kind, outcome] += 1

    async def _kill(self) -> None:
        """Kill the Imaginer again and again, and note how long it was away."""
        wait = KILL_SECONDS
        while True:
            await asyncio.sleep(wait)
            for process in imaginers(server_at(self._port)):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            began = time.monotonic()
            await asyncio.sleep(1)
            while (await self._client.get("/health")).json()["imaginer"] != "up":
                await asyncio.sleep(0.5)
            self.away.append(time.monotonic() - began)
            wait = max(1.0, KILL_SECONDS - self.away[-1])

    def _measure(self) -> None:
        self.memory.append(resident(server_at(self._port)))

    def grown(self) -> list[str]:
        """The processes that take more memory than after warming up."""
        first, *_, last = self.memory
        lasting = first.keys() - ({"Imaginer"} if self.away else set())  # a killed one is a new one
        limits = {kind: first[kind] * (1 + GROWTH) + SLACK for kind in lasting}
        return [
            f"{kind} grew from {first[kind]:.0f} to {last[kind]:.0f} MiB"
            for kind, limit in limits.items()
            if last.get(kind, 0.0) > limit
        ]


def report(soak: Soak, seconds: float) -> None:
    """Print what became of all requests."""
    table = Table("request", "outcomes", title=f"{sum(soak.outcomes.values())} requests")
    for kind in sorted({kind for kind, _ in soak.outcomes}):
        found = sorted((out, n) for (k, out), n in soak.outcomes.items() if k == kind)
        table.add_row(kind, "; ".join(f"{out}: {n}" for out, n in found))
    for kind in soak.memory[0]:
        used = (f"{one.get(kind, 0.0):.0f}" for one in soak.memory)
        table.add_row(f"memory: {kind}", f"{', '.join(used)} MiB: start, middle, end")
    if soak.away:
        longest = f"away for at most {max(soak.away):.1f} s"
        table.add_row("kills of the Imaginer", f"{len(soak.away)}, {longest}")
    table.add_row("time", f"{seconds:.0f} s")
    Console(width=150).print(table)
    for line in [*soak.wrong[:SHOWN], *soak.grown()]:
        print(f"wrong: {line}", file=sys.stderr)


async def soaked(url: str, requests: int, bad: int) -> Soak:
    """Ask the service at ``url``."""
    port = int(url.rpartition(":")[2])
    limits = httpx.Limits(max_connections=4 * CALLERS)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as one:
        asking = Asking(one, port, load(BUNDLE), seed=0)
        soak = Soak(port, one, asking.bad() if bad else asking.mixed())
        with Progress(console=Console(stderr=True)) as progress:
            await soak.run(bad or requests, not bad, progress)
        try:
            await asking.known()
        except WrongError as error:
            soak.wrong.append(f"after all: {error}")
    return soak


def main(
    requests: Annotated[int, typer.Option(min=100, help="how many, of all kinds")] = 20_000,
    bad: Annotated[int, typer.Option(min=0, help="bad ones alone, so many, instead")] = 0,
) -> None:
    """Ask a Bento of the bundle everything while its generator fails and is killed, and judge each
    answer. The exit status is 1 when one is wrong, or when memory grew."""
    serve = config.load().serve.model_copy(update=SHORT)
    faulty = None if bad else partial(plant, asleep=ASLEEP, share=SHARE)
    with served_apart(serve, faulty) as url:
        began = time.monotonic()
        soak = asyncio.run(soaked(url, requests, bad))
    report(soak, time.monotonic() - began)
    if soak.wrong or soak.grown():
        sys.exit(1)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
