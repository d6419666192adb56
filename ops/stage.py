"""One stage of dvc.yaml, run by DVC: its output line by line, and what its failure means.

A stage brings along what it needs. In the clone where that was computed nothing happens; in another
one it is taken from the shared cache, or from the remote.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.datasets.source import KEEP
from components.errors import told
from components.versioning.remote import has_remote
from ops.environment import ROOT
from ops.processes import lines_of, running

Log = Callable[[str], None]


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

    Raises :class:`EidolonError` when the stage or DVC was given bad input;
    :class:`TransientError` when it failed otherwise.
    """
    began, lines = time.monotonic(), []
    added = dict(variables or {})
    if stage != "dataset":  # a run looks at the source once
        added[KEEP] = "1"
    options = [*(["--pull"] if has_remote(ROOT) else []), *(["--single-item"] if alone else [])]
    dvc = [sys.executable, "-m", "components.versioning.dvc_command"]
    with running([*dvc, "repro", *options, stage], added) as process:
        for line in lines_of(process):
            lines.append(line)
            log(line)
    if process.returncode != 0:
        raise told(lines, process.returncode)
    ran = f"Running stage '{stage}':" in lines
    return Result(stage, round(time.monotonic() - began, 1), cached=not ran)
