"""The record of one run of the DAG: lines of JSON in a file of its own.

The tasks append to it, and `make run` follows it. Airflow's log would not serve: it is written for
people, and its format changes between versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["started", "line", "done", "skipped", "failed"]


@dataclass(frozen=True)
class Event:
    """What happened to ``task``. ``text`` is a line of output, the reason for a skip, or the
    sentence of a failure."""

    task: str
    kind: Kind
    text: str = ""
    result: dict[str, Any] = field(default_factory=dict)


def path(home: Path, run: str) -> Path:
    """The file of the run ``run``."""
    return home / "runs" / f"{re.sub(r'[^A-Za-z0-9.-]', '_', run)}.jsonl"


def append(file: Path, event: Event) -> None:
    """Add ``event`` to the end of ``file``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(json.dumps(asdict(event)) + "\n")


def follow(file: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """The complete lines of ``file`` from ``offset`` on, each with the offset of the next one."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if not line.endswith(b"\n"):
                return  # still being written
            offset += len(line)
            yield Event(**json.loads(line)), offset
