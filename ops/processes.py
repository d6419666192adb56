"""Processes: running one, reading what it prints, and ending it with its children."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psutil

from components.variables import masked, without_airflow
from ops.environment import ROOT, environment


@contextmanager
def running(
    command: list[str], variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run ``command``, which is no part of Airflow, from the root; leaving the block early ends it
    with all its children."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**without_airflow(environment()), **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            end(family(process.pid))
            process.wait()


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines that ``process`` prints, as they come, without empty ones and without passwords in
    addresses."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            yield masked(line.rstrip())


def family(pid: int) -> list[psutil.Process]:
    """``pid`` and its descendants; nothing when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(processes: Sequence[psutil.Process], patience: float = 5.0) -> None:
    """Terminate ``processes``, by force those that are not gone in ``patience`` seconds."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    left = psutil.wait_procs(processes, timeout=patience)[1]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=patience)
