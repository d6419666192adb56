"""The record of one run of the DAG: lines of JSON in a file of its own, or in shared objects.

The tasks append to it, and `make run` follows it. Airflow's log would not serve: it is written for
people, and its format changes between versions.

Where `EIDOLON_OBJECTS` is set, each event is an object `runs/RUN/NUMBER`. The numbers have no gaps,
because an event takes the one after an event that it has seen, if no other has taken it. So tasks
on any machine append, and no clock decides which event comes first.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from components.files import file_name
from components.objects import Objects, shared

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
    """The file of the run ``run``. Its name is that of the run's objects too."""
    return home / "runs" / f"{file_name(run)}.jsonl"


def append(file: Path, event: Event) -> None:
    """Add ``event`` to the end of the record ``file``. Raises :class:`TransientError` when it lies
    in shared objects that cannot be reached."""
    if (objects := shared()) is not None:
        # the id tells an event from another one that says the same
        line = json.dumps(asdict(event) | {_ID: uuid.uuid4().hex}).encode()
        number = len(objects.keys(_prefix(file)))
        while not objects.write_once(_key(file, number), line):
            number += 1
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(json.dumps(asdict(event)) + "\n")


def follow(file: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """The events of the record ``file`` from ``offset`` on, each with the offset of the next one.

    Raises :class:`TransientError` when they lie in shared objects that cannot be reached.
    """
    if (objects := shared()) is not None:
        yield from _numbered(objects, file, offset)
        return
    if not file.exists():
        return
    with file.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if not line.endswith(b"\n"):
                return  # still being written
            offset += len(line)
            yield Event(**json.loads(line)), offset


_ID = "id"


def _numbered(objects: Objects, file: Path, number: int) -> Iterator[tuple[Event, int]]:
    while (line := objects.read(_key(file, number))) is not None:
        number += 1
        values = json.loads(line)
        del values[_ID]
        yield Event(**values), number


def _prefix(file: Path) -> str:
    return f"runs/{file.stem}/"


def _key(file: Path, number: int) -> str:
    return f"{_prefix(file)}{number:06d}"
