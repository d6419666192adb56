"""The progress of a run, for a person: a table that changes in place, or plain lines in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ops.record import Event

_STYLES = {
    "waiting": "dim",
    "running": "cyan",
    "cached": "green",
    "done": "green",
    "skipped": "yellow",
    "failed": "red",
}


@dataclass
class Row:
    """The state of one task."""

    state: str = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    note: str = ""

    def elapsed(self) -> float:
        return time.monotonic() - self.began if self.state == "running" else self.seconds


class Board:
    """The state of each task: ``table`` shows all of them, ``take`` gives each change as a line."""

    def __init__(self, tasks: list[str], stages: list[str]) -> None:
        """``stages`` are the ``tasks`` that run a command, so that not all its lines are for
        people."""
        self._stages = set(stages)
        self.rows = {task: Row() for task in tasks}

    def take(self, event: Event) -> str:
        """Update the board. Returns the line for a log, or an empty string where none is needed."""
        row = self.rows.setdefault(event.task, Row())
        if event.kind == "line":
            # the lines of DVC and of progress, and answers in JSON, are not for people
            ours = event.task not in self._stages and not event.text.startswith("{")
            if not ours and not event.text.startswith((f"{event.task}: ", "source: ")):
                return ""
            row.note = event.text
            return f"{'':<10} {event.text}"
        if event.kind == "started":
            row.state, row.began, row.note = "running", time.monotonic(), ""
        else:
            row.seconds = event.result.get("seconds") or row.elapsed()
            row.state = "cached" if event.result.get("cached") else event.kind
            row.note = event.text or row.note
        seconds = "" if row.state == "running" else f" {row.seconds:7.1f} s"
        return f"{event.task:<10} {row.state}{seconds}  {event.text}".rstrip()

    def finish(self) -> None:
        """Mark what never began as skipped: the run is over."""
        for row in self.rows.values():
            if row.state == "waiting":
                row.state = "skipped"

    def table(self) -> Table:
        """The board as it is now."""
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=10, no_wrap=True)
        table.add_column(min_width=7, no_wrap=True)
        table.add_column(min_width=9, no_wrap=True, justify="right")
        table.add_column(no_wrap=True)
        for task, row in self.rows.items():
            style = _STYLES[row.state]
            seconds = f"{row.elapsed():.1f} s" if row.began else ""
            note = Text(row.note, style="dim", overflow="ellipsis")
            table.add_row(task, Text(row.state, style=style), seconds, note)
        return table


class Display:
    """Shows a board during a run: live on a terminal, elsewhere as a line for each event."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console, self._board = console, board
        self._spinner = Spinner("dots")
        self._busy = False
        self._live = Live(
            get_renderable=self._render,
            console=console,
            refresh_per_second=4,
        )

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._board.finish()
            self._busy = False
            self._live.stop()

    def _render(self) -> Group:
        return Group(self._board.table(), *([self._spinner] if self._busy else []))

    def say(self, text: str) -> None:
        """Show ``text``: what is going on besides the tasks."""
        if self._live.is_started:
            self._busy = True
            self._spinner.update(text=text)
        else:
            self._console.print(text, highlight=False)

    def take(self, event: Event) -> None:
        """Show ``event``."""
        line = self._board.take(event)
        if self._live.is_started:
            self.say(f"task {event.task}")
        elif line:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
