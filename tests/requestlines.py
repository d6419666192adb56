"""What the logger of requests writes, in the service and in the proxy."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bento import logs


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """The lines that are logged during this block, as the logger is set up in a process."""
    log, before = logs.log, (logs.log.propagate, logs.log.level)
    logs.start()
    (handler,) = log.handlers
    assert isinstance(handler, logging.StreamHandler)
    lines = io.StringIO()
    handler.setStream(lines)
    yield lines
    log.removeHandler(handler)
    log.propagate, log.level = before
