"""One writer in this workspace: `make run` and `make up` do not both run the DAG."""

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
