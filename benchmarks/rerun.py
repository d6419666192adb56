"""What does another retrain cost? `python -m benchmarks.rerun`.

In a clone of this checkout, `make run` does its work four times: from nothing; again, when it
compares the dataset with the champion that there now is; with nothing new; and with one more
category of seven pictures, added by `eidolon ingest`. The table has the seconds of each task as
`make run` shows them.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from components.datasets.emblems import Emblem, draw
from components.errors import EidolonError, one_sentence

ROOT = Path(__file__).parents[1]
ADDED, PICTURES = "olive wavy spiral", 7
_LIKE = "red plain star"  # what the pictures of the new category look like
_ELSEWHERE = ("AIRFLOW", "BENTOML", "EIDOLON", "MLFLOW")  # variables that lead to another checkout
_TASK = re.compile(r"^(\S+) +(?:cached|done|skipped) +([\d.]+) s")


@dataclass(frozen=True)
class Run:
    """One run: the ``seconds`` that it took, those of the processor (``cpu``), those of each of
    its ``tasks``, and the lines that the tasks ``said``."""

    seconds: float
    cpu: float
    tasks: Mapping[str, float]
    said: list[str]


class Clone:
    """A clone of this checkout's last commit in ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_ELSEWHERE)}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        self._env = kept | {"PYTHONPATH": str(root)}  # `eidolon` shall run the clone's code too
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(root)], check=True)

    def call(self, *command: str) -> str:
        """What `make run` or another command prints here.

        Raises :class:`EidolonError` when it fails.
        """
        done = subprocess.run(
            command, cwd=self._root, env=self._env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise EidolonError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
        return done.stdout

    def run(self) -> Run:
        """Do what `make run` does."""
        began, before = time.monotonic(), _cpu()
        lines = self.call(sys.executable, "-m", "ops", "run").splitlines()
        ended = filter(None, map(_TASK.match, lines))
        return Run(
            seconds=time.monotonic() - began,
            cpu=_cpu() - before,
            tasks={task[1]: float(task[2]) for task in ended},
            said=[line.strip() for line in lines if line.startswith("    ") and ": " in line],
        )

    def ingest(self, folder: Path) -> None:
        """Add one category."""
        place = folder / ADDED.replace(" ", "_")
        place.mkdir(parents=True)
        for index in range(PICTURES):
            draw(Emblem.parse(_LIKE), seed=9, subset="rerun", index=index).save(
                place / f"{index}.png"
            )
        shell = f'eval "$({sys.executable} -m ops env)" && exec eidolon ingest "$0"'
        self.call("bash", "-c", shell, str(folder))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(runs: Mapping[str, Run]) -> Table:
    """The seconds of each task in each of ``runs``, and each run's share of the first one's."""
    found = Table(box=SIMPLE_HEAD)
    for column in ("seconds", *runs):
        found.add_column(column, justify="left" if column == "seconds" else "right")
    first = next(iter(runs.values()))
    for task in dict.fromkeys(task for run in runs.values() for task in run.tasks):
        cells = (run.tasks.get(task) for run in runs.values())
        found.add_row(task, *("" if cell is None else f"{cell:.1f}" for cell in cells))
    found.add_section()
    found.add_row("all", *(f"{run.seconds:.1f}" for run in runs.values()))
    found.add_row("share", *(f"{run.seconds / first.seconds:.2f}" for run in runs.values()))
    found.add_row("processor", *(f"{run.cpu:.1f}" for run in runs.values()))
    return found


def main() -> None:
    """Measure `make run` from nothing, with nothing new, and with one more category."""
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory(prefix="eidolon-rerun-") as place:
        clone = Clone(Path(place) / "clone")
        for name in ("first", "again", "nothing new"):
            runs[name] = clone.run()
        clone.ingest(Path(place) / "new")
        runs["one category more"] = clone.run()
    console = Console()
    console.print(table(runs))
    console.print("\n".join(runs["one category more"].said), highlight=False, markup=False)


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
