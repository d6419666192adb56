"""How many items go through a model at once: as many as its memory takes.

Where no number is given, an accelerator is asked: one item goes first, and the memory that it took
above the weights is what an item costs. The batch is the largest power of two whose cost is within
:data:`SHARE` of what is free, and at most :data:`LARGEST`, beyond which batches gain no speed. On a
CPU it is :data:`ON_CPU`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from components.checkpoints import device
from components.errors import EidolonError

SHARE = 0.8
LARGEST = 256
ON_CPU = 32

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """``work`` on any number of items, ``size`` at a time. A batch that turns out to be too large
    for the accelerator, which others may use too, is halved."""

    def __init__(self, work: Callable[[Sequence[T]], R], example: T, size: int | None) -> None:
        self._work = work
        self.size = size or (ON_CPU if device().type == "cpu" else _measure(work, example))

    def __call__(self, items: Sequence[T]) -> list[R]:
        """The results of all batches, in order.

        Raises :class:`EidolonError` when not even one item fits.
        """
        results: list[R] = []
        done = 0
        while done < len(items):
            batch = items[done : done + self.size]
            result = self._try(batch)
            if result is not None:
                results.append(result)
                done += len(batch)
            elif len(batch) == 1:
                raise EidolonError(
                    "the accelerator's memory does not hold even a batch of one: stop what else"
                    " uses it, or choose a smaller size or model"
                )
            else:
                torch.cuda.empty_cache()
                self.size = len(batch) // 2
        return results

    def _try(self, batch: Sequence[T]) -> R | None:
        # the error holds on to the memory of the failed batch: it must not leave this function
        try:
            return self._work(batch)
        except torch.OutOfMemoryError:
            return None


def fitting(free: int, cost: int) -> int:
    """The batch for items that take ``cost`` bytes each, where ``free`` bytes are."""
    fit = int(SHARE * free / max(cost, 1))
    return min(LARGEST, 1 << (max(fit, 1).bit_length() - 1))


def _measure(work: Callable[[Sequence[T]], R], example: T) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work([example])
    cost = torch.cuda.max_memory_allocated() - before
    ours = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # free, but kept by torch
    return fitting(torch.cuda.mem_get_info()[0] + ours, cost)
