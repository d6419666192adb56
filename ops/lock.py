"""Locks in this workspace, each of which ends with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from components.errors import EidolonError
from components.locks import BusyError, held
from ops.environment import HOME


@contextmanager
def foreground_run() -> Iterator[None]:
    """Held while a run is in the foreground. Raises :class:`EidolonError` when another is."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(HOME / "run.lock", wait=False))
        except BusyError:
            raise EidolonError(
                "a `make run` is in progress here: wait for its end, or stop it"
            ) from None
        yield


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Wait until no other process here does ``what``, then do it."""
    with held(HOME / f"{what}.lock"):
        yield
