"""A text that nobody has asked for, from the request to the answer: the Bento of made features.

Both services run as they are deployed, with models of random weights. The times of the steps are
those that the answers themselves give.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import torch

from benchmarks import made_bundle
from benchmarks.apart import served_apart
from benchmarks.serving import Took, load
from components import config
from components.models.checkpoints import device

CALLERS = (1, 2, 4, 8)
_STEPS = ("text", "imagine", "rank", "total")
_LOOKS = 0.05  # seconds between two looks at the accelerator's memory
_MOVES = 5.0  # seconds that moving the models away may take


@dataclass(frozen=True)
class Fresh:
    """Seconds of the first request and of the first one after the models rested; the callers'
    times; milliseconds of each step for one caller, medians; and GiB of the accelerator's memory
    that are in use by all processes: at the most, at rest, and with the models away."""

    first: float
    woken: float
    callers: dict[int, Took]
    steps: dict[str, float]
    memory: dict[str, float]


def fresh(
    folder: Path, params: config.Params, rows: int, dims: tuple[int, int], each: int
) -> Fresh:
    """Serve a bundle of ``rows`` made pictures, which is written to the new ``folder``, and ask.
    Every caller asks for ``each`` new texts."""
    folder.mkdir()
    made_bundle.make(folder, params, rows, dims)
    with (
        served_apart(params.serve, bundle=folder) as url,
        httpx.Client(base_url=url, timeout=300, trust_env=False) as client,
        _highest_use() as used,
    ):
        first = _asked(client, "a first text")[0]
        answers = [_asked(client, f"a text for one caller, number {i}")[1] for i in range(each)]
        callers = {count: asyncio.run(_callers(url, count, each)) for count in CALLERS}
        memory = {"at the most": max(used), "at rest": in_use()}
        time.sleep((params.serve.idle_seconds or 0) * 1.5 + _MOVES)
        memory["models away"] = in_use()
        woken = _asked(client, "a text after a rest")[0]
    found = [answer["timings"] for answer in answers]
    steps = {step: statistics.median(one[step] for one in found) for step in _STEPS}
    return Fresh(first, woken, callers, steps, memory)


async def _callers(url: str, count: int, each: int) -> Took:
    texts = [f"a text for {count} callers, number {i}" for i in range(each * count)]

    async def ask(client: httpx.AsyncClient, text: str) -> float:
        began = time.perf_counter()
        reply = await client.post("/search", json={"query": text, "mode": "fused"})
        took = time.perf_counter() - began
        fine = reply.status_code == 200 and reply.json()["degraded"] is None
        return took if fine else float("nan")

    async with httpx.AsyncClient(base_url=url, timeout=300, trust_env=False) as client:
        return await load(client, ask, texts, count)


def _asked(client: httpx.Client, text: str) -> tuple[float, dict[str, Any]]:
    """The seconds of a search, and its answer, which must be by imagined pictures."""
    began = time.perf_counter()
    answer = client.post("/search", json={"query": text, "mode": "fused"}).raise_for_status().json()
    took = time.perf_counter() - began
    if answer["degraded"] is not None:
        raise RuntimeError(f"{text!r} was answered without pictures: {answer['degraded']}")
    return took, answer


def in_use() -> float:
    """GiB of the accelerator's memory that all processes hold; 0 on a CPU."""
    if device().type == "cpu":
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**30


@contextmanager
def _highest_use() -> Iterator[Sequence[float]]:
    """Yield a list that grows by :func:`in_use`, again and again, while the block lasts."""
    found, ended = [in_use()], Event()

    def look() -> None:
        while not ended.wait(_LOOKS):
            found.append(in_use())

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
