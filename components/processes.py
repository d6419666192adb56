"""Processes with their children, and how they are ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil


def family(pid: int) -> list[psutil.Process]:
    """The process ``pid`` and its descendants; an empty list when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def environment_of(process: psutil.Process) -> list[str]:
    """The environment of ``process`` as it began, as `NAME=value`. Raises :class:`psutil.Error` or
    :class:`OSError` when it has ended, or belongs to another user."""
    file = Path(f"/proc/{process.pid}/environ")
    if file.exists():  # psutil stops reading where a process wrote its title over it
        return [os.fsdecode(entry).strip() for entry in file.read_bytes().split(b"\0")]
    return [f"{name}={value}" for name, value in process.environ().items()]


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
