"""The peak memory of a process. Loads nothing, so that what is measured is the work alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_EVERY = 0.02  # seconds between two looks


def peak() -> int:
    """The peak memory of this process in MiB (Linux). The figure of getrusage may be that of the
    process that started this one."""
    return _status("VmHWM")


@contextmanager
def watched() -> Iterator[list[int]]:
    """Yield a list whose only number is, at the end of the block, the peak memory within it in MiB.

    Pages of mapped files do not count, since the system takes them back when it needs memory. The
    memory is read every 20 ms (Linux).
    """
    found, over = [_status("RssAnon")], threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY):
            found[0] = max(found[0], _status("RssAnon"))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _status(what: str) -> int:
    """A figure of /proc/self/status in MiB."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) // 1024
