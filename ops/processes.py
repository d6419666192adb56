"""Running a process and reading what it prints."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from components.processes import end, family
from components.variables import masked, without_airflow
from ops.environment import ROOT, environment


@contextmanager
def running(
    command: list[str], variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run ``command`` from the root of the checkout, without the variables of Airflow. The block
    ends when the command does; an exception in the block ends the command and its children."""
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
    """The lines that ``process`` prints, as they come. Empty lines are left out, and passwords in
    addresses are hidden."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            yield masked(line.rstrip())
