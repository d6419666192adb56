"""Building, checking and deploying Bentos by `python -m bento.release`.

It runs in a process of its own, because BentoML and Airflow need not be loaded together.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bento import homes, pointer
from components.errors import EXIT_CODE, TRY_AGAIN, failure
from components.paths import DEPLOYED
from ops.environment import HOME, ROOT
from ops.processes import lines_of, running
from ops.stage import Log


class ReleaseError(Exception):
    """Building, checking or deploying a Bento failed."""


def build(bundle: Path, version: str, log: Log) -> dict[str, Any]:
    """Build the Bento of ``version`` unless there is one. ``tag`` in the answer names it."""
    return _call(["build", "--bundle", str(bundle), "--version", version], log)


def check(tag: str, queries: int, log: Log) -> dict[str, Any]:
    """Serve ``tag`` on a port of its own and ask golden queries. Raises :class:`ReleaseError` for a
    wrong answer."""
    return _call(["check", "--tag", tag, "--queries", str(queries)], log)


def folders(tag: str, log: Log) -> dict[str, Path]:
    """Where the bundle and the models of ``tag`` lie, by their names in its release.json."""
    return {name: Path(place) for name, place in _call(["folders", "--tag", tag], log).items()}


def models(bundle: Path, log: Log) -> dict[str, Path]:
    """Where BentoML's store has the models that ``bundle`` was made with, by part; without those
    that it lacks."""
    return {n: Path(place) for n, place in _call(["models", "--bundle", str(bundle)], log).items()}


def was_checked(tag: str) -> bool:
    """Whether ``tag`` has passed :func:`check` here."""
    return homes.checked(tag, HOME).is_file()


def verify(tag: str, version: str, url: str, log: Log) -> dict[str, Any]:
    """Ask the server at ``url`` whether it serves ``tag`` of ``version``. ``digest`` in the answer
    is that of its bundle. Raises :class:`ReleaseError` if it does not."""
    return _call(["verify", "--tag", tag, "--version", version, "--url", url], log)


def deploy(tag: str, version: str, log: Log) -> dict[str, Any]:
    """Point the endpoint at ``tag``."""
    return _call(["deploy", "--tag", tag, "--version", version], log)


def prune(tags: Iterable[str], versions: Iterable[str], log: Log, *, yes: bool) -> dict[str, Any]:
    """The ``bentos`` and ``models`` in the store that neither the Bentos ``tags`` nor the newest
    ones of ``versions`` need, and their ``bytes``. With ``yes`` they are removed."""
    kept = [part for tag in sorted(tags) for part in ("--tag", tag)]
    kept += [part for version in versions for part in ("--version", version)]
    return _call(["prune", *kept, *(["--yes"] if yes else [])], log)


def deployed() -> dict[str, Any] | None:
    """The deployment that the endpoint's pointer names (``bento``, ``version``), or ``None``."""
    return pointer.deployed((ROOT / DEPLOYED).parent)


def _call(arguments: list[str], log: Log) -> dict[str, Any]:
    lines: list[str] = []
    with running([sys.executable, "-m", "bento.release", *arguments]) as process:
        for line in lines_of(process):
            lines.append(line)
            log(line)
    if process.returncode == 0:
        answers = [line for line in lines if line.startswith("{")]
        if not answers:
            raise ReleaseError(f"bento.release {arguments[0]} gave no answer")
        answer: dict[str, Any] = json.loads(answers[-1])
        return answer
    error = failure(lines, process.returncode)
    raise error if process.returncode in (EXIT_CODE, TRY_AGAIN) else ReleaseError(str(error))
