"""Batches: their size follows from the memory, and is halved when memory runs out."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from components.errors import EidolonError
from components.models import batches
from components.models.batches import Batches
from tests import toy


def test_batches_keep_order_and_halve_when_memory_is_short() -> None:
    sizes: list[int] = []

    def work(items: Any) -> list[int]:
        sizes.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * item for item in items]

    many = Batches(work, 0, 10)
    assert [x for part in many(range(11)) for x in part] == [i * i for i in range(11)]
    assert sizes == [10, 5, 2, 2, 2, 2, 2, 1]
    assert many.size == 2
    assert [x for part in many(range(3)) for x in part] == [0, 1, 4]


def test_one_item_that_does_not_fit_is_one_sentence() -> None:
    def work(_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(EidolonError, match="memory does not hold"):
        Batches(work, 0, 4)([1, 2, 3])


def test_exhausted_memory_halves_the_batch_and_one_too_large_item_is_an_error() -> None:
    """The process may take 300 MB of the machine's own memory, beyond what it has at the start."""
    code = (
        "import resource, sys, psutil, torch\n"
        "from components.errors import NoRoomError\n"
        "from components.models.batches import Batches\n"
        "torch.set_num_threads(1)\n"
        "work = Batches(lambda sizes: len(torch.empty(sum(sizes), dtype=torch.uint8)), 1, 8)\n"
        "limit = psutil.Process().memory_info().vms + 300 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "assert work([100 * 2**20] * 8) == [200 * 2**20] * 4, work.size\n"
        "try:\n"
        "    work([400 * 2**20])\n"
        "except NoRoomError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=toy.ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("the machine's memory does not hold the model and a batch of")


def test_the_batch_follows_from_free_memory() -> None:
    gib = 2**30
    assert batches.fitting(free=80 * gib, cost=gib, share=0.8) == 64
    assert batches.fitting(free=10 * gib, cost=gib, share=0.8) == 8
    assert batches.fitting(free=80 * gib, cost=2**20, share=0.8) == batches.LARGEST
    assert batches.fitting(free=80 * gib, cost=gib, share=0.4) == 32
    assert batches.fitting(free=gib, cost=4 * gib, share=0.8) == 1
    assert batches.fitting(free=gib, cost=0, share=0.8) == batches.LARGEST
