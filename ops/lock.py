"""Locks in this workspace, each of which ends with its process."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from components.errors import EidolonError
from ops.environment import HOME


@contextmanager
def foreground_run() -> Iterator[None]:
    """Held while a run is in the foreground. Raises :class:`EidolonError` when another is."""
    HOME.mkdir(exist_ok=True)
    with (HOME / "run.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EidolonError(
                "a `make run` is in progress here: wait for its end, or stop it"
            ) from None
        yield


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Wait until no other process here does ``what``, then do it."""
    HOME.mkdir(exist_ok=True)
    with (HOME / f"{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
