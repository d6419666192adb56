"""Running one stage of dvc.yaml by DVC: its output line by line, and the meaning of its failure.

DVC brings the stages before it up to date as well. In the clone that computed them nothing happens;
in another one their outputs come from the shared cache or from the remote.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from components.datasets.source import KEEP
from components.errors import failure
from components.versioning import up_to_date
from components.versioning.remote import has_remote
from ops.environment import ROOT
from ops.processes import lines_of, running

Log = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """``cached``: the output of the stage was there, and its command did not run."""

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
    return _repro(stage, log, "dvc_command", {KEEP: "1", **(variables or {})}, alone)[0]


def command(words: Sequence[str], name: str, log: Log, variables: Mapping[str, str]) -> Result:
    """Run `eidolon WORDS`, which is no stage of dvc.yaml, as the task ``name``. Raises like
    :func:`repro`."""
    began = time.monotonic()
    _said([sys.executable, "-m", "components.cli", *words], log, variables)
    return Result(name, round(time.monotonic() - began, 1), cached=False)


def begin(log: Log) -> tuple[Result, dict[str, str]]:
    """Bring the first stage up to date, which reads the source again. Returns also the stages that
    are up to date then, with their marks (:mod:`components.versioning.up_to_date`).

    Raises like :func:`repro`.
    """
    result, lines = _repro("dataset", log, "up_to_date", {}, alone=False)
    return result, up_to_date.leading(lines, up_to_date.stage_names())


def _repro(
    stage: str, log: Log, module: str, variables: Mapping[str, str], alone: bool
) -> tuple[Result, list[str]]:
    """Run ``module`` of components.versioning for ``stage``. Returns also the lines that it
    printed."""
    began = time.monotonic()
    options = [*(["--pull"] if has_remote(ROOT) else []), *(["--single-item"] if alone else [])]
    dvc = [sys.executable, "-m", f"components.versioning.{module}", "repro"]
    lines = _said([*dvc, *options, stage], log, variables)
    ran = f"Running stage '{stage}':" in lines
    return Result(stage, round(time.monotonic() - began, 1), cached=not ran), lines


def _said(command: list[str], log: Log, variables: Mapping[str, str]) -> list[str]:
    """Run ``command``. Returns the lines that it printed, after handing those for people to
    ``log``."""
    lines = []
    with running(command, variables) as process:
        for line in lines_of(process):
            lines.append(line)
            if not line.startswith("{"):
                log(line)
    if process.returncode != 0:
        raise failure(lines, process.returncode)
    return lines
