"""A challenger beside the live Bento, as the proxy sees it: who is asked, and how they compare.

The file `.eidolon/canary.json` says which Bento is on trial, for what share, and within which
limits; :mod:`ops.canary` writes it. In the mode `shadow` a share of the searches is asked again of
the challenger, once the caller has the live Bento's answer. In the mode `answer` a share of the
callers is answered by the challenger, always the same ones, and the live Bento is asked again.
Both answers are compared, and recorded without the text of the query. A challenger outside the
limits is withdrawn: nobody is sent to it any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import random
from typing import Any

import aiohttp
from aiohttp import web

from components import config
from components.files import append_line, write_json
from components.uniform import uniform
from ops.comparison import Reply, Seen, objection, overlap
from ops.watched import Watched

SEARCH = "/search"
PROBES = ("/health", "/livez", "/readyz", "/metrics")  # they ask about the live Bento
MOST = 64 * 1024  # bytes of a query; the service allows no larger one
MOST_ANSWERED = 4 * 2**20  # bytes of an answer that is compared
AT_ONCE = 4  # comparisons; while there are more, searches are not compared
WINDOW = 500  # the latest comparisons decide
SECONDS = 120.0  # for the other answer

log = logging.getLogger("eidolon.proxy")

Again = Callable[[int, "Copy"], Awaitable[Reply]]
"""Asks the Bento at a port again what was asked in the copy."""


@dataclass
class Copy:
    """What is kept of a search while it passes: its body, and its answer."""

    request: web.Request
    challenged: bool  # whether the challenger answered it
    port: int  # of the Bento that is asked again
    body: bytearray = field(default_factory=bytearray)
    answer: bytearray = field(default_factory=bytearray)
    status: int = 0
    id: str = ""
    began: float = field(default_factory=time.perf_counter)

    def asked(self, part: bytes) -> None:
        """Keep a part of the body."""
        if len(self.body) <= MOST:
            self.body += part

    def answered(self, part: bytes) -> None:
        """Keep a part of the answer."""
        if len(self.answer) <= MOST_ANSWERED:
            self.answer += part

    @property
    def whole(self) -> bool:
        """Whether all was kept."""
        return len(self.body) <= MOST and len(self.answer) <= MOST_ANSWERED


class Trial:
    """The trial of which the file in ``home`` tells, if there is one."""

    def __init__(self, home: Path) -> None:
        self._home, self._file = home, home / "canary.json"
        self._watched = Watched(self._file)
        self._began: str | None = None
        self._seen: deque[Seen] = deque(maxlen=WINDOW)
        self._tasks: set[asyncio.Task[None]] = set()

    def current(self, live: int) -> dict[str, Any] | None:
        """The trial, unless the challenger was withdrawn, or is itself ``live`` at that port."""
        value = self._watched.value()
        if value is None or value["withdrawn"] is not None or value["port"] == live:
            return None
        if value["since"] != self._began:  # another trial
            self._began = value["since"]
            self._seen.clear()
        return value

    def port_for(self, request: web.Request, live: int) -> int:
        """The port of the Bento that answers ``request``."""
        trial = self.current(live)
        if trial is None or trial["mode"] != "answer" or request.path in PROBES:
            return live
        return int(trial["port"]) if _chosen(request, trial) else live

    def copy_of(self, request: web.Request, port: int, live: int) -> Copy | None:
        """What is to be kept of a search that the Bento at ``port`` answers, if it is compared."""
        trial = self.current(live)
        if trial is None or request.method != "POST" or not request.path.endswith(SEARCH):
            return None
        if len(self._tasks) >= AT_ONCE:
            return None
        if port == trial["port"]:
            return Copy(request, True, live)
        answers = trial["mode"] == "answer"  # then it was the challenger's turn, but it is away
        compared = _chosen(request, trial) if answers else random() < trial["share"]
        return Copy(request, False, int(trial["port"])) if compared else None

    def compare(self, copy: Copy, again: Again) -> None:
        """Ask the other Bento too, and compare, after the caller has the answer of the first."""
        ms = 1000 * (time.perf_counter() - copy.began)
        if copy.whole and copy.status:
            task = asyncio.create_task(self._compare(copy, ms, again))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _compare(self, copy: Copy, ms: float, again: Again) -> None:
        first = Reply.of(copy.status, bytes(copy.answer), ms)
        try:
            async with asyncio.timeout(SECONDS):
                second = await again(copy.port, copy)
        except (aiohttp.ClientError, OSError, TimeoutError):
            second = Reply.of(0, b"", 1000 * SECONDS)
        live, other = (second, first) if copy.challenged else (first, second)
        seen = Seen(live.told(), other.told(), overlap(live.hits, other.hits))
        trial = self._watched.value()
        if trial is None or trial["withdrawn"] is not None or trial["since"] != self._began:
            return
        self._seen.append(seen)
        by = "challenger" if copy.challenged else "champion"
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"time": now, "request": copy.id, "answered_by": by, **asdict(seen)}
        with suppress(OSError):  # a full disk must not end the trial of every request
            folder = self._home / "canary"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            append_line(folder / f"{trial['version']}.jsonl", json.dumps(record))
        if why := objection(list(self._seen), config.Canary.model_validate(trial["limits"])):
            log.error("version %s is withdrawn: %s", trial["version"], why)
            write_json(self._file, trial | {"withdrawn": why})


def caller_of(request: web.Request) -> str:
    """Who asks: the key that they send, or else their address."""
    key = request.headers.get("Authorization") or request.headers.get("X-API-Key")
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    return key or forwarded or request.remote or ""


def place_of(caller: str, version: str) -> float:
    """A number from 0 to 1 that is always the same for a caller during a trial."""
    return uniform(f"{version}/{caller}")


def _chosen(request: web.Request, trial: dict[str, Any]) -> bool:
    return place_of(caller_of(request), str(trial["version"])) < float(trial["share"])
