"""One stage of dvc.yaml, run by DVC: its output line by line, and what its failure means.

A stage brings along what it needs. In the clone where that was computed nothing happens; in another
one it is taken from the shared cache, or from the remote.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from components.errors import EXIT_CODE, EidolonError
from components.remote import has_remote
from ops.environment import ROOT, environment

Log = Callable[[str], None]

_RUNNING = "Running stage '"
_BUSY = re.compile("is busy|[Uu]nable to acquire lock")
_EXITED = re.compile(r"exited with (-?\d+)")


@dataclass(frozen=True)
class Result:
    """``cached``: DVC had the stage's output already, and its command did not run."""

    stage: str
    seconds: float
    cached: bool


class StageError(Exception):
    """A stage failed in a way that another attempt may cure."""


def repro(stage: str, log: Log, variables: Mapping[str, str] | None = None) -> Result:
    """Bring ``stage`` up to date, handing each line of output to ``log``; ``variables`` are added
    to the environment.

    Raises :class:`EidolonError` when the stage was given bad input, or DVC refused to start it;
    :class:`StageError` when it failed otherwise.
    """
    began = time.monotonic()
    pull = ["--pull"] if has_remote(ROOT) else []
    code, lines = _dvc(["--wait-for-lock", "repro", *pull, stage], log, variables)
    if code != 0:
        raise failure(lines, any(line.startswith(_RUNNING) for line in lines))
    ran = f"{_RUNNING}{stage}':" in lines
    return Result(stage, round(time.monotonic() - began, 1), cached=not ran)


def push(stage: str, log: Log) -> None:
    """Hand the outputs of ``stage`` to the remote, if there is one, for :func:`repro` elsewhere.

    Raises :class:`StageError`.
    """
    if has_remote(ROOT):
        code, lines = _dvc(["--wait-for-lock", "push", "--quiet", "--run-cache", stage], log)
        if code != 0:
            raise failure(lines, ran=True)


def _dvc(
    arguments: list[str], log: Log, variables: Mapping[str, str] | None = None
) -> tuple[int, list[str]]:
    lines: list[str] = []
    with running(["dvc", *arguments], variables) as process:
        for line in lines_of(process):
            lines.append(line)
            log(line)
    return process.returncode, lines


@contextmanager
def running(
    command: list[str], variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run ``command`` from the root; leaving the block early ends it with all its children."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment(), **(variables or {})},
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
            end(process.pid)
            process.wait()


def end(pid: int, patience: float = 5.0) -> None:
    """Terminate ``pid`` and its descendants, by force when they are not gone in ``patience`` s."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _signal(process.terminate)
    for process in psutil.wait_procs(family, timeout=patience)[1]:
        _signal(process.kill)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    """The lines that ``process`` prints, as they come, without empty ones."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            yield line.rstrip()


def failure(lines: list[str], ran: bool) -> Exception:
    """What the output of a failed `dvc repro` means; ``ran``: a stage's command had started."""
    by_dvc = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    why = by_dvc[0] if by_dvc else (lines[-1] if lines else "no output")
    if not ran:
        return StageError(why) if _BUSY.search(why) else EidolonError(why)
    code = _EXITED.search(why)
    sentences = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if code and int(code[1]) == EXIT_CODE and sentences:
        return EidolonError(sentences[-1])
    return StageError(why)
