"""Callers who ask an endpoint steadily while something is done to it, and judge each answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp

PAUSE = 0.1  # seconds between two requests of a caller, on average
FRESH = 0.3  # share of requests on a connection of their own
STREAMED = 0.15  # share of requests that are streams
NEW = 0.03  # share of requests for texts that must be drawn


@dataclass(frozen=True)
class Answered:
    """One request: when it began and ended, in seconds since 1970; the version that answered; and
    what is wrong with the answer, if anything is."""

    began: float
    ended: float
    version: int | None
    wrong: str = ""


def judged(messages: Sequence[Any]) -> tuple[int | None, str]:
    """The version that gave the ``messages`` of one answer, and what is wrong with them: each must
    be of one and the same bundle, and so must the addresses of their pictures."""
    bundles = [one["bundle"] for one in messages if "bundle" in one]
    if not bundles:
        return None, "no bundle is named"
    digests = {
        hit["picture"].partition("?v=")[2] for one in messages for hit in one.get("hits", ())
    }
    mixed = any(bundle != bundles[0] for bundle in bundles) or digests - {bundles[0]["digest"]}
    return bundles[0]["version"], "bundles are mixed" if mixed else ""


class Callers:
    """Asks ``url`` for the known ``names``, and for new texts made of them."""

    def __init__(self, url: str, names: Sequence[str], count: int = 6) -> None:
        self._url, self._names, self._count = url, names, count
        self._random = Random(0)
        self.answers: list[Answered] = []

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """They ask during this block. Every request that they began is answered at its end."""
        ended = asyncio.Event()
        async with aiohttp.ClientSession() as kept:
            tasks = [asyncio.create_task(self._caller(kept, ended)) for _ in range(self._count)]
            try:
                yield
            finally:
                ended.set()
                await asyncio.gather(*tasks)

    async def _caller(self, kept: aiohttp.ClientSession, ended: asyncio.Event) -> None:
        while not ended.is_set():
            if self._random.random() < FRESH:
                async with aiohttp.ClientSession() as fresh:
                    self.answers.append(await self._ask(fresh))
            else:
                self.answers.append(await self._ask(kept))
            await asyncio.sleep(2 * PAUSE * self._random.random())

    async def _ask(self, session: aiohttp.ClientSession) -> Answered:
        name, new = self._random.choice(self._names), self._random.random() < NEW
        query = f"{name} beside {self._random.choice(self._names)}" if new else name
        streamed = self._random.random() < STREAMED
        path = "/search/stream" if streamed else "/search"
        began = time.time()
        try:
            async with session.post(
                self._url + path,
                json={"query": query, "k": 10},
                timeout=aiohttp.ClientTimeout(total=150),
            ) as reply:
                text = await reply.text()
                if reply.status != 200:
                    return Answered(began, time.time(), None, f"{reply.status} {text[:200]}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Answered(began, time.time(), None, f"{type(error).__name__}: {error}")
        ended = time.time()
        if not streamed:
            return Answered(began, ended, *judged([json.loads(text)]))
        if not text.endswith("event: done\ndata: {}\n\n") or "event: error" in text:
            return Answered(began, ended, None, "a stream broke off")
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
        return Answered(began, ended, *judged(events))


def until_all(answers: Sequence[Answered], moved: float, version: int, after: float) -> float:
    """Seconds from the time ``moved`` until the last request began that another version than
    ``version`` answered; 0 if none did. Looks at requests that began before ``after``."""
    late = [a.began - moved for a in answers if a.version != version and moved < a.began < after]
    return max(late, default=0.0)


def until_first(answers: Sequence[Answered], began: float, version: int) -> float:
    """Seconds from the time ``began`` until the first answer of ``version`` after it."""
    return min(a.ended - began for a in answers if a.version == version and a.ended > began)
