"""The accelerators of this machine. The pool has a slot for each, and a task that draws pictures
gets one for itself."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from components.locks import BusyError, held
from ops.environment import HOME

VARIABLE = "CUDA_VISIBLE_DEVICES"


def accelerators(given: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> list[str]:
    """The accelerators that CUDA may use: those that the caller allows, or else all, by number."""
    if VARIABLE in given:
        return [name.strip() for name in given[VARIABLE].split(",") if name.strip()]
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in devices.glob("nvidia*"))
    return sorted((match[1] for match in found if match), key=int)


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
