"""Measures a stage in a process of its own, so that nothing else counts in its memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peak import peak, watched

ROOT = Path(__file__).parents[1]

Figures = dict[str, Any]
"""``seconds``, those of the processor (``cpu``), and the peak memory in MiB with mapped files
(``rss``) and without (``anonymous``)."""


def measured(work: Callable[[], object]) -> Figures:
    """The figures of ``work``, in this process."""
    began, used = time.perf_counter(), time.process_time()
    with watched() as anonymous:
        work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    return {
        "seconds": round(seconds, 1),
        "cpu": round(cpu, 1),
        "rss": peak(),
        "anonymous": anonymous[0],
    }


def say(work: Callable[[], object]) -> None:
    """Print the figures of ``work`` as JSON, on the last line."""
    print(json.dumps(measured(work)))


def alone(code: str) -> Figures:
    """What ``code``, which ends with :func:`say`, printed in a process of its own. Prints the lines
    before."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    *said, figures = done.stdout.splitlines()
    print(*said, sep="\n", end="\n" if said else "", flush=True)
    read: Figures = json.loads(figures)
    return read
