"""Locks of this workspace. Each ends with its process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from components.errors import EidolonError
from components.locks import BusyError, held
from ops.environment import HOME


@contextmanager
def foreground_run() -> Iterator[None]:
    """Hold the lock of runs in the foreground. Raises :class:`EidolonError` when it is taken."""
    with ExitStack() as stack:
        try:
            stack.enter_context(held(HOME / "run.lock", wait=False))
        except BusyError:
            raise EidolonError(
                "a `make run` is in progress here: wait until it ends, or stop it"
            ) from None
        yield


@contextmanager
def one_at_a_time(what: str, *, wait: bool = True) -> Iterator[None]:
    """Wait until no other process of this workspace does ``what``, and keep it so in this block.
    Unless ``wait``, raises :class:`BusyError` when another one does."""
    with held(HOME / f"{what}.lock", wait=wait):
        yield
