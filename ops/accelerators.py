"""The accelerators of this machine. The pool has a slot for each, and a task that draws pictures
gets one for itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from components.locks import BusyError, held
from ops.environment import HOME

VARIABLE = "CUDA_VISIBLE_DEVICES"


def accelerators(given: Mapping[str, str] = os.environ) -> list[str]:
    """The accelerators that CUDA may use: those that the caller allows, or else all, by UUID. A
    number would mean another one in a container that has only some of a machine's accelerators."""
    if VARIABLE in given:
        return [name.strip() for name in given[VARIABLE].split(",") if name.strip()]
    return _uuids()


def _uuids() -> list[str]:
    """What the driver lists; nothing without one."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


@contextmanager
def one_of(names: list[str], home: Path = HOME) -> Iterator[dict[str, str]]:
    """Yield the variable that limits CUDA to one of ``names`` which no other task here uses. With
    fewer than two ``names`` there is no choice, and no variable. Waits while all are in use."""
    if len(names) < 2:
        yield {}
        return
    while True:
        for name in names:
            with ExitStack() as stack:
                try:
                    lock = home / "accelerators" / f"{name}.lock"
                    stack.enter_context(held(lock, wait=False))
                except BusyError:
                    continue
                yield {VARIABLE: name}
                return
        time.sleep(1)
