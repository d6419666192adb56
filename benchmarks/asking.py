"""Asks a service everything, and judges each answer by what its bundle gives offline."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, get_args

import httpx

from benchmarks import bad
from benchmarks.sending import BUSY, objection, send
from bento.golden import as_offline
from components.api.messages import Degraded
from components.serving.loading import Bundle

K = 20
FAULTS = ("pitch black", "partly black", "not a number", "failing", "asleep")
PAGES = ("/", "/docs", "/docs.json", "/bundle", "/categories", "/health", "/metrics")
KEPT = 2000  # texts and hits that are asked for again

Ask = Callable[[], Awaitable[str]]


class WrongError(Exception):
    """An answer that is wrong."""


class Asking:
    """The kinds of requests. Each gives the outcome in words, or raises :class:`WrongError`."""

    def __init__(self, client: httpx.AsyncClient, port: int, bundle: Bundle, seed: int) -> None:
        self._client, self._port, self._rng = client, port, Random(seed)
        self._names = list(bundle.categories["category"])
        self._paths = list(bundle.pictures["path"])
        self._bundle = bundle
        self._row = {name: row for row, name in enumerate(self._names)}
        self._asked: list[str] = []
        self._marks: list[dict[str, str]] = []
        self._ranked: dict[tuple[str, ...], list[str]] = {}

    def mixed(self) -> dict[str, tuple[int, Ask]]:
        """What callers ask, each with its weight."""
        return {
            "known text": (30, self.known),
            "new text": (6, self._new),
            "new text, again": (16, self._again),
            "new text with a fault": (4, self._faulty),
            "stream": (10, self._stream),
            "stream broken off": (6, self._left),
            "similar by id": (8, self._similar),
            "similar by upload": (4, self._upload),
            "feedback": (6, self._feedback),
            "page or picture": (6, self._page),
            "bad request": (4, partial(self._bad, None)),
        }

    def bad(self) -> dict[str, tuple[int, Ask]]:
        """Bad requests of each kind, all equally often."""
        return {kind: (1, partial(self._bad, kind)) for kind in bad.KINDS}

    async def known(self) -> str:
        """A category: its answer never depends on the generator, and is that of the bundle."""
        name = self._rng.choice(self._names)
        answer = await self._search(query=name)
        return answer if isinstance(answer, str) else self._judged(name, answer)

    async def _new(self) -> str:
        self._asked = [*self._asked, self._text()][-KEPT:]
        return await self._free(self._asked[-1])

    async def _again(self) -> str:
        return await self._free(self._rng.choice(self._asked or [self._text()]))

    async def _faulty(self) -> str:
        return await self._free(f"{self._text()}, {self._rng.choice(FAULTS)}")

    def _text(self) -> str:
        """One of a hundred thousand texts that are no category."""
        return " beside a ".join(self._rng.choices(self._names, k=2))

    async def _free(self, text: str) -> str:
        answer = await self._search(query=text)
        return answer if isinstance(answer, str) else self._judged(text, answer)

    async def _search(self, **body: Any) -> dict[str, Any] | str:
        response = await self._client.post("/search", json={"k": K, "mode": "fused"} | body)
        return _value(response)

    def _judged(self, query: str, answer: dict[str, Any]) -> str:
        """The outcome. Raises :class:`WrongError`."""
        hits, degraded = answer["hits"], answer["degraded"]
        _check(len(hits) == K, f"{query!r}: {len(hits)} hits, not {K}")
        scores = [hit["score"] for hit in hits]
        _check(scores == sorted(scores, reverse=True), f"{query!r}: scores are not sorted")
        kept = tuple(one["id"] for one in answer["imagined"] if one["kept"])
        mode = "fused" if kept else "text"
        _check(answer["mode"] == mode, f"{query!r}: by {answer['mode']}, not by {mode}")
        _check((degraded is None) == bool(kept), f"{query!r}: {degraded} with {len(kept)} pictures")
        _check(degraded in (None, *get_args(Degraded)), f"{query!r}: the reason {degraded}")
        if query in self._row:
            _check(answer["known"] and degraded is None, f"{query!r}: known, and {degraded}")
            same = as_offline(self._bundle, self._row[query], hits)
            _check(same, f"{query!r}: not what the bundle gives offline")
        found = [hit["id"] for hit in hits]
        before = self._ranked.setdefault((query, *kept), found)
        _check(found == before, f"{query!r}: other hits from the same pictures")
        mark = {"request": answer["request"], "id": self._rng.choice([*found, *kept])}
        self._marks = [*self._marks, mark][-KEPT:]
        return "200" if degraded is None else f"200, {degraded}"

    async def _stream(self) -> str:
        query = self._rng.choice([*self._names[:20], *self._asked[-20:], self._text()])
        body = {"query": query, "k": K, "mode": "fused"}
        response = await self._client.post("/search/stream", json=body)
        if response.status_code in BUSY:
            return _refused(response)
        _check(response.status_code == 200, f"a stream: {response.status_code} {response.text}")
        blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
        events = [
            (head.removeprefix("event: "), json.loads(data[6:], parse_constant=_none))
            for head, data in blocks
        ]
        names = [name for name, _ in events]
        pictures = ["imagined"] * (len(names) - 3)
        _check(names == ["text", *pictures, "fused", "done"], f"{query!r}: streamed as {names}")
        return self._judged(query, events[-2][1])

    async def _left(self) -> str:
        body = {"query": self._rng.choice([*self._names[:2], self._text()]), "mode": "fused"}
        async with self._client.stream("POST", "/search/stream", json=body) as response:
            if response.status_code in BUSY:
                return _refused(response)
            _check(response.status_code == 200, f"a stream: {response.status_code}")
            lines = response.aiter_lines()
            for _ in range(self._rng.randint(1, 5)):
                await anext(lines, "")
        return "left"

    async def _similar(self) -> str:
        path = self._rng.choice(self._paths)
        found = _value(await self._client.post("/similar", json={"id": path, "k": K}))
        if isinstance(found, dict):
            ids = [hit["id"] for hit in found["hits"]]
            _check(len(ids) == K and path not in ids, f"{path}: similar are {ids}")
        return found if isinstance(found, str) else "200"

    async def _upload(self) -> str:
        path = self._rng.choice(self._paths)
        picture = (await self._client.get(f"/images/{path}")).content
        files = {"image": (Path(path).name, picture, "image/png")}
        found = _value(await self._client.post("/similar", files=files, data={"k": str(K)}))
        if isinstance(found, dict):
            ids = [hit["id"] for hit in found["hits"]]
            _check(path in ids, f"{path}: it is not similar to itself")
        return found if isinstance(found, str) else "200"

    async def _feedback(self) -> str:
        if not self._marks:
            return await self.known()
        mark = self._rng.choice(self._marks) | {"right": self._rng.random() < 0.5}
        response = await self._client.post("/feedback", json=mark)
        if response.status_code in BUSY:
            return _refused(response)
        _check(response.status_code == 204, f"feedback: {response.status_code} {response.text}")
        return "204"

    async def _page(self) -> str:
        picture = f"/images/{self._rng.choice(self._paths)}"
        url = self._rng.choice([*PAGES, *[picture] * len(PAGES)])
        response = await self._client.get(url)
        if response.status_code in BUSY:
            return _refused(response)
        _check(response.status_code == 200, f"{url}: {response.status_code} {response.text[:200]}")
        return "200"

    async def _bad(self, kind: str | None) -> str:
        kind = kind or self._rng.choice(list(bad.KINDS))
        asked = bad.KINDS[kind](self._rng)
        reply = await send(self._port, asked)
        why = objection(asked, reply)
        _check(not why, f"{why}, to {asked.pieces[0][:200]!r}")
        return "left" if reply is None else str(reply.status or "closed")


def _value(response: httpx.Response) -> dict[str, Any] | str:
    """The JSON of an answer, or the outcome of a refusal."""
    if response.status_code in BUSY:
        return _refused(response)
    _check(response.status_code == 200, f"{response.status_code}: {response.text[:200]}")
    value: dict[str, Any] = json.loads(response.text, parse_constant=_none)
    return value


def _refused(response: httpx.Response) -> str:
    _check("retry-after" in response.headers, f"{response.status_code} without Retry-After")
    return str(response.status_code)


def _check(fine: bool, why: str) -> None:
    if not fine:
        raise WrongError(why)


def _none(constant: str) -> None:
    raise WrongError(f"{constant} in JSON")
