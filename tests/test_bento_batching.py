"""Batching: what waits is done together, nobody is held back, and each batch fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bento.batching import Batching, FullError


class Work:
    """Doubles numbers, and remembers its batches. It begins when ``gate`` is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.gate.wait()
        if -1 in items:
            raise ValueError("this batch failed")
        return [2 * item for item in items]


def test_a_single_caller_does_not_wait_for_others() -> None:
    async def run() -> None:
        work = Work()
        work.gate.set()
        batching = Batching(work, size=10, limit=100)
        assert await asyncio.wait_for(batching([1, 2]), 5) == [2, 4]
        assert work.batches == [[1, 2]]

    asyncio.run(run())


@settings(max_examples=30, deadline=None)
@given(calls=st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=8), size=st.integers(1, 5))
def test_every_caller_gets_its_own_results(calls: list[list[int]], size: int) -> None:
    async def run() -> None:
        work = Work()
        batching = Batching(work, size, limit=1000)
        waiting = [asyncio.create_task(batching(items)) for items in calls]
        await asyncio.sleep(0)
        work.gate.set()
        results = await asyncio.gather(*waiting)
        assert results == [[2 * item for item in items] for items in calls]
        assert all(0 < len(batch) <= size for batch in work.batches)
        assert len(work.batches) <= -(-sum(map(len, calls)) // size) + 1

    asyncio.run(run())


def test_what_waits_is_bounded() -> None:
    async def run() -> None:
        work = Work()
        batching = Batching(work, size=1, limit=3)
        first = [asyncio.create_task(batching([0]))]
        await asyncio.sleep(0.01)  # it is worked on, and the next three wait
        first += [asyncio.create_task(batching([i])) for i in (1, 2, 3)]
        await asyncio.sleep(0.01)
        with pytest.raises(FullError):
            await batching([9])
        work.gate.set()
        assert await asyncio.gather(*first) == [[0], [2], [4], [6]]
        assert await batching([9]) == [18]

    asyncio.run(run())


def test_a_failed_batch_fails_its_callers_alone() -> None:
    async def run() -> None:
        work = Work()
        work.gate.set()
        batching = Batching(work, size=1, limit=10)
        bad = asyncio.create_task(batching([-1]))
        good = asyncio.create_task(batching([4]))
        assert await good == [8]
        with pytest.raises(ValueError, match="this batch failed"):
            await bad

    asyncio.run(run())


def test_what_nobody_waits_for_is_not_worked_on() -> None:
    async def run() -> None:
        work = Work()
        batching = Batching(work, size=1, limit=10)
        first = asyncio.create_task(batching([1]))
        gone = asyncio.create_task(batching([2]))
        last = asyncio.create_task(batching([3]))
        await asyncio.sleep(0.01)
        gone.cancel()
        work.gate.set()
        assert await first == [2] and await last == [6]
        assert [2] not in work.batches

    asyncio.run(run())
