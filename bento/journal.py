"""Writes the logs of queries and of feedback: JSON lines in a file for each day.

:mod:`components.monitoring.journal` has their names, and reads them.

BentoML's own monitor was not taken, because it never deletes a file, anyone may read its files, and
the second log of a process takes over the file of the first.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from components.api.messages import Answer, Feedback
from components.files import append_line
from components.monitoring.journal import HITS, Name, file_name, files

log = logging.getLogger("bentoml.eidolon")


class Journal:
    """Appends to the logs in ``folder``, from any number of processes.

    The files of the last ``days`` days stay, today's included; older ones are removed. With 0
    nothing is written, and nothing is removed. A disk that is full or read-only is reported once,
    and fails no request.
    """

    def __init__(self, folder: Path, days: int) -> None:
        self._folder, self._days = folder, days
        self.on = days > 0
        self._swept: date | None = None
        self._failing = False

    def answered(self, answer: Answer) -> None:
        """Record a search by text and what it found."""
        self._append(
            "queries",
            {
                "request": answer.request,
                "query": answer.query,
                "known": answer.known,
                "mode": answer.mode,
                "degraded": answer.degraded,
                "confidence": answer.confidence,
                "relevant": answer.relevant,
                "unknown_words": len(answer.unknown_words),
                "truncated": answer.truncated,
                "hits": [hit.id for hit in answer.hits[:HITS]],
                "ms": answer.timings.total,
                "bundle": answer.bundle.version,
            },
        )

    def judged(self, feedback: Feedback, bundle: int) -> None:
        """Record what a person said of a picture, while the version ``bundle`` was served."""
        self._append("feedback", feedback.model_dump() | {"bundle": bundle})

    def _append(self, name: Name, record: dict[str, Any]) -> None:
        if not self.on:
            return
        now = datetime.now(UTC)
        line = json.dumps({"time": now.isoformat(timespec="milliseconds")} | record)
        if self._failing:
            line = "\n" + line  # the last line may have been cut short
        try:
            self._sweep(now.date())
            append_line(self._folder / file_name(name, now.date()), line)
        except OSError as error:
            if not self._failing:
                log.error("%s is not recorded in %s: %s", name, self._folder, error)
            self._failing = True
            return
        self._failing = False

    def _sweep(self, today: date) -> None:
        """Remove what is too old, once a day."""
        if self._swept == today:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, day in files(self._folder):
            if day <= today - timedelta(days=self._days):
                with suppress(FileNotFoundError):  # another process removed it
                    file.unlink()
        self._swept = today
