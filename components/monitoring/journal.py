"""The logs of the service as files: their names, their fields, and how they are read.

The service writes them (bento/journal.py). Each day has a file of JSON lines for queries and one
for feedback. Anything may stand in a line: a full disk cuts one short, and older releases wrote
other fields. So every line is checked, and what does not fit is counted and passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

HITS = 10  # of an answer, that are recorded
_AGAIN = 180  # seconds within which a trial has the second answer to a search
_REMEMBERED = 10_000  # answers among which the first one is looked for
_FILE = re.compile(r"(queries|feedback)-(\d{4}-\d\d-\d\d)\.jsonl")
_LONGEST = 1 << 20  # bytes of a line; a longer one is damaged

Name = Literal["queries", "feedback"]


class Answered(BaseModel):
    """A line of the log of queries."""

    time: AwareDatetime
    request: str
    query: str
    known: bool
    mode: str
    degraded: str | None
    confidence: Annotated[float, Field(ge=0, le=1)]
    relevant: bool
    unknown_words: int
    truncated: bool = False  # logs of older releases lack it
    hits: list[str]
    ms: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    bundle: int


class Marked(BaseModel):
    """A line of the log of feedback."""

    time: AwareDatetime
    request: str
    id: str
    right: bool
    bundle: int


class _Request(BaseModel):
    """A line of the endpoint's logs that tells of one request."""

    time: AwareDatetime
    route: str
    status: int


Line = TypeVar("Line", Answered, Marked)


@dataclass
class Passed:
    """How many lines were passed over because they are damaged."""

    count: int = 0


def file_name(name: Name, day: date) -> str:
    """The name of the file for a log and a day."""
    return f"{name}-{day}.jsonl"


def files(folder: Path) -> list[tuple[Path, date]]:
    """The files of all logs with their days, oldest first."""
    found = []
    for file in folder.glob("*.jsonl"):
        if named := _FILE.fullmatch(file.name):
            with suppress(ValueError):
                found.append((file, date.fromisoformat(named[2])))
    return sorted(found, key=lambda one: (one[1], one[0]))


def read(folder: Path, name: Name, since: date) -> Iterator[dict[str, Any]]:
    """The records of a log from the day ``since`` on, oldest first. Damaged lines are skipped."""
    return (record for record in _records(folder, name, since) if record is not None)


def answered(folder: Path, since: date, passed: Passed) -> Iterator[Answered]:
    """The answers that callers got from the day ``since`` on, oldest first. Damaged lines are
    counted."""
    return _asked_once(_checked(Answered, _records(folder, "queries", since), passed))


def marked(folder: Path, since: date, passed: Passed) -> Iterator[Marked]:
    """The marks from the day ``since`` on, oldest first. Damaged lines are counted."""
    return _checked(Marked, _records(folder, "feedback", since), passed)


def statuses(logs: Iterable[Path], since: date) -> Iterator[tuple[date, int]]:
    """The day and the status of each search in the endpoint's ``logs``, from ``since`` on.

    These files have other lines too, and they are rotated by size. So they may not reach back to
    ``since``, and a file that is not there is no error.
    """
    for file in logs:
        with suppress(OSError), file.open("rb") as lines:
            for record in parsed(lines):
                if record is None or not str(record.get("route", "")).startswith("/search"):
                    continue
                with suppress(ValidationError):
                    found = _Request.model_validate(record)
                    if _day(found.time) >= since:
                        yield _day(found.time), found.status


def _asked_once(answers: Iterable[Answered]) -> Iterator[Answered]:
    """Leave out what a trial asked again of another version: nobody saw that answer.

    It has the id and the query of an earlier answer. A caller may use an id and a query again too,
    but the same version answers that, unless another one was deployed meanwhile.
    """
    seen: dict[tuple[str, str], tuple[datetime, int]] = {}  # the latest ones, oldest first
    for one in answers:
        asked = one.request, one.query
        time, bundle = seen.pop(asked, (one.time, one.bundle))
        if bundle != one.bundle and (one.time - time).total_seconds() <= _AGAIN:
            continue
        seen[asked] = one.time, one.bundle
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]
        yield one


def _day(time: datetime) -> date:
    return time.date()


def _checked(
    kind: type[Line], records: Iterable[dict[str, Any] | None], passed: Passed
) -> Iterator[Line]:
    for record in records:
        try:
            yield kind.model_validate(record)
        except ValidationError:
            passed.count += 1


def _records(folder: Path, name: Name, since: date) -> Iterator[dict[str, Any] | None]:
    for file, day in files(folder):
        if day >= since and file.name == file_name(name, day):
            with suppress(FileNotFoundError), file.open("rb") as lines:  # the service removes them
                yield from parsed(lines)


def parsed(lines: Any) -> Iterator[dict[str, Any] | None]:
    """Each line of an open file as an object of JSON, or ``None`` if it is none. Empty lines are
    left out."""
    while line := lines.readline(_LONGEST):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        yield record if isinstance(record, dict) else None
