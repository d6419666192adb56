"""Running one stage of dvc.yaml by DVC: its output line by line, and the meaning of its failure.

DVC brings the stages before it up to date as well. In the clone that computed them nothing happens;
in another one their outputs come from the shared cache or from the remote.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.datasets.source import KEEP
from components.errors import failure
from components.versioning.remote import has_remote
from ops.environment import ROOT
from ops.processes import lines_of, running

Log = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """``cached``: DVC had the output of the stage, and did not run its command."""

    stage: str
    seconds: float
    cached: bool


def repro(
    stage: str, log: Log, variables: Mapping[str, str] | None = None, *, alone: bool = False
) -> Result:
    """Bring ``stage`` up to date, and hand each line of output to ``log``. ``variables`` are added
    to the environment. ``alone`` leaves the stages before it as they are: they are up to date, and
    other stages may be using them.

    Raises :class:`EidolonError` for bad input of the stage or of DVC, and :class:`TransientError`
    for any other failure.
    """
    began, lines = time.monotonic(), []
    added = dict(variables or {})
    if stage != "dataset":  # only this one reads the source again
        added[KEEP] = "1"
    options = [*(["--pull"] if has_remote(ROOT) else []), *(["--single-item"] if alone else [])]
    dvc = [sys.executable, "-m", "components.versioning.dvc_command"]
    with running([*dvc, "repro", *options, stage], added) as process:
        for line in lines_of(process):
            lines.append(line)
            log(line)
    if process.returncode != 0:
        raise failure(lines, process.returncode)
    ran = f"Running stage '{stage}':" in lines
    return Result(stage, round(time.monotonic() - began, 1), cached=not ran)
