"""The batch size of a model: as many items at once as its device's memory holds.

Where no size is given, it is measured on an accelerator. One item goes through the model, and the
memory that it takes beyond the weights is the cost of an item. The size is the largest power of two
whose cost is within a share of the free memory, and at most :data:`LARGEST`: larger batches
are no faster. On a CPU batches bring little speed. There the size is fixed, so that results do not
depend on how much memory is free.
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
    """Applies ``work`` to any number of items, ``size`` at a time.

    Without a ``size`` it is measured on an accelerator, and is ``on_cpu`` on a CPU. ``share`` is
    the part of the free memory that a batch may take. A batch that does not fit is halved: other
    processes may use the same memory.

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
        # the error keeps the memory of the failed batch alive, so it must not leave this function
        try:
            return self._work(batch)
        except RuntimeError as error:
            if len(batch) == 1 or not out_of_memory(error):
                raise
            return None


def fitting(free: int, cost: int, share: float) -> int:
    """The batch size for items of ``cost`` bytes each, in a ``share`` of ``free`` bytes."""
    fit = int(share * free / max(cost, 1))
    return min(LARGEST, 1 << (max(fit, 1).bit_length() - 1))


def _measure(work: Callable[[Sequence[T]], R], example: T, share: float) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with within_memory():
        work([example])
    cost = torch.cuda.max_memory_allocated() - before
    ours = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # unused, kept by torch
    return fitting(torch.cuda.mem_get_info()[0] + ours, cost, share)
