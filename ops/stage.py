"""One stage of dvc.yaml, run by DVC: its output line by line, and what its failure means.

A stage brings along what it needs. In the clone where that was computed nothing happens; in another
one it is taken from the shared cache, or from the remote.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.data.remote import has_remote
from components.errors import EXIT_CODE, EidolonError, TransientError
from ops.environment import ROOT
from ops.processes import lines_of, running

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


def repro(
    stage: str, log: Log, variables: Mapping[str, str] | None = None, *, alone: bool = False
) -> Result:
    """Bring ``stage`` up to date, handing each line of output to ``log``; ``variables`` are added
    to the environment. ``alone``: what it needs is up to date, and may be in use by another stage.

    Raises :class:`EidolonError` when the stage was given bad input, or DVC refused to start it;
    :class:`TransientError` when it failed otherwise.
    """
    began, lines = time.monotonic(), []
    options = [*(["--pull"] if has_remote(ROOT) else []), *(["--single-item"] if alone else [])]
    with running(["dvc", "--wait-for-lock", "repro", *options, stage], variables) as process:
        for line in lines_of(process):
            lines.append(line)
            log(line)
    if process.returncode != 0:
        raise failure(lines, any(line.startswith(_RUNNING) for line in lines))
    ran = f"{_RUNNING}{stage}':" in lines
    return Result(stage, round(time.monotonic() - began, 1), cached=not ran)


def failure(lines: list[str], ran: bool) -> Exception:
    """What the output of a failed `dvc repro` means; ``ran``: a stage's command had started."""
    by_dvc = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    why = by_dvc[0] if by_dvc else (lines[-1] if lines else "no output")
    if not ran:
        return TransientError(why) if _BUSY.search(why) else EidolonError(why)
    code = _EXITED.search(why)
    sentences = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if code and int(code[1]) == EXIT_CODE and sentences:
        return EidolonError(sentences[-1])
    return TransientError(why)
