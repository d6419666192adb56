"""Draws what several callers ask for in one batch.

While a batch is drawn, orders collect; whatever waits when it is done makes the next one. Nothing
waits for others to come. BentoML's adaptive batching was not taken, because it does: while it
learns how long a batch takes, it held a single caller back for up to 20 seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class FullError(Exception):
    """Too many items wait already."""


class Batching(Generic[T, R]):
    """Applies ``work`` to the items of all callers together, at most ``size`` at a time.

    A call's items are worked on in their order. At most ``limit`` items wait.
    """

    def __init__(
        self, work: Callable[[Sequence[T]], Awaitable[list[R]]], size: int, limit: int
    ) -> None:
        self._work, self._size, self._limit = work, size, limit
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, items: Sequence[T]) -> list[R]:
        """The results for ``items``, in their order.

        Raises :class:`FullError` when there is no room, and what ``work`` raised for their batch.
        """
        if len(self._waiting) + len(items) > self._limit:
            raise FullError
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[R]] = [loop.create_future() for _ in items]
        self._waiting.extend(zip(items, futures, strict=True))
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run())
        return list(await asyncio.gather(*futures))

    async def _run(self) -> None:
        while self._waiting:
            count = min(self._size, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
            # a caller that has gone cancels its futures, and its items are left out
            batch = [(item, future) for item, future in batch if not future.done()]
            try:
                results = await self._work([item for item, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
