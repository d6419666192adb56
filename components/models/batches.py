"""How many items go through a model at once: as many as its memory takes.

Where no number is given, an accelerator is asked: one item goes first, and the memory that it took
above the weights is what an item costs. The batch is the largest power of two whose cost is within
a share of what is free, and at most :data:`LARGEST`, beyond which batches gain no speed. On a
CPU, where they gain little, it is a fixed number, so that results do not depend on what is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from components import config
from components.models.checkpoints import device, out_of_memory, within_memory

LARGEST = 256
ON_CPU = 32

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """``work`` on any number of items, ``size`` at a time, or as many as memory takes: ``on_cpu``
    where there is no accelerator. ``share`` is the part of an accelerator's free memory that may be
    taken. A batch that turns out to be too large for the memory, which
    others may use too, is halved.

    Raises :class:`NoRoomError` or :class:`TransientError`, here or when called, if not even one
    item fits.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], R],
        example: T,
        size: int | None,
        on_cpu: int = ON_CPU,
        share: float = config.MEMORY_SHARE,
    ) -> None:
        self._work = work
        self.size = size or (on_cpu if device().type == "cpu" else _measure(work, example, share))

    def __call__(self, items: Sequence[T]) -> list[R]:
        """The results of all batches, in order."""
        results: list[R] = []
        done = 0
        while done < len(items):
            batch = items[done : done + self.size]
            with within_memory():
                result = self._try(batch)
            if result is not None:
                results.append(result)
                done += len(batch)
            else:
                torch.cuda.empty_cache()
                self.size = len(batch) // 2
        return results

    def _try(self, batch: Sequence[T]) -> R | None:
        # the error holds on to the memory of the failed batch: it must not leave this function
        try:
            return self._work(batch)
        except RuntimeError as error:
            if len(batch) == 1 or not out_of_memory(error):
                raise
            return None


def fitting(free: int, cost: int, share: float) -> int:
    """The batch for items of ``cost`` bytes each, which may take ``share`` of ``free`` bytes."""
    fit = int(share * free / max(cost, 1))
    return min(LARGEST, 1 << (max(fit, 1).bit_length() - 1))


def _measure(work: Callable[[Sequence[T]], R], example: T, share: float) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with within_memory():
        work([example])
    cost = torch.cuda.max_memory_allocated() - before
    ours = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # free, but kept by torch
    return fitting(torch.cuda.mem_get_info()[0] + ours, cost, share)
