"""Processes with their children, and how they are ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import psutil


def family(pid: int) -> list[psutil.Process]:
    """The process ``pid`` and its descendants; an empty list when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(processes: Sequence[psutil.Process], patience: float = 5.0) -> None:
    """Terminate ``processes``, and kill those that are still there after ``patience`` seconds."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    left = psutil.wait_procs(processes, timeout=patience)[1]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=patience)
