"""`make run`: one run of the DAG `retrain` in the foreground, and its result.

Airflow itself runs the DAG (`airflow dags test`), the same one that its scheduler runs. This module
prepares the database, follows the record of the run, and reports.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from components import config
from components.errors import EidolonError, TransientError, failure
from components.files import read_json, sha256, write_json
from components.lifecycle import snapshot
from components.paths import BUNDLE, EVALUATION
from components.processes import end, family
from components.variables import without_airflow
from components.versioning.up_to_date import stage_names
from ops import record, release, rollout
from ops.airflow import Airflow
from ops.cluster.settings import HEAD
from ops.cluster.workers import pool_slots
from ops.environment import HOME, POOL, ROOT, environment, ports
from ops.lock import foreground_run
from ops.processes import lines_of, running
from ops.progress import Board, Display
from ops.record import Event
from ops.services import Supervisor
from ops.summary import by_kind, facts, figures, not_promoted, outcome, summarise

LOG = HOME / "logs" / "run.log"
SUMMARY = ROOT / "reports" / "summary.json"
EXAMPLE = HOME / "example.json"  # the answer to the example query, and what gave it
HITS = 5
AWAY = 300.0  # seconds for which a run is followed though Airflow or its record does not answer


class RunError(Exception):
    """The run failed. Says which task failed and why, where the log is, and whether the champion is
    still the same."""


def task_names(stages: list[str]) -> list[str]:
    """The tasks of the DAG in their order, as a person sees them."""
    first, *others = with_encoding(stages)
    after = ["submit"] if config.load().gate.approval else ["build", "check", "promote"]
    return [first, "inspect", *others, "register", "gate", *after]


def with_encoding(stages: list[str]) -> list[str]:
    """``stages`` with the tasks `encode` in their place, if there are any."""
    shards, at = config.load().generator.shards, stages.index("validate")
    encoded = [f"encode@{shard}" for shard in shards] if len(shards) > 1 else []
    return [*stages[:at], *encoded, *stages[at:]]


def prepare_airflow(log: Path) -> None:
    """Migrate Airflow's database and make the pool, unless that was done for this version in the
    database that is in use."""
    from importlib.metadata import version

    env, slots = environment(), str(pool_slots(HOME))
    database = hashlib.sha256(env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].encode()).hexdigest()[:8]
    stamp = HOME / "airflow" / f".ready-{version('apache-airflow')}-{slots}-{database}"
    if stamp.exists():
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    pool = ["pools", "set", POOL, slots, "a slot for each accelerator"]
    for command in (["db", "migrate"], pool):
        with log.open("a") as out:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *command],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise RunError(f"`airflow {' '.join(command)}` failed: see {log}")
    stamp.touch()


def run(console: Console) -> dict[str, Any]:
    """Run the DAG, on the scheduler of `make up` if that is running; show its progress and its
    result. Returns the content of reports/summary.json.

    Raises :class:`EidolonError` when the run cannot begin, :class:`RunError` when it fails.
    """
    began, stages = time.monotonic(), stage_names(ROOT / "dvc.yaml")
    env, scheduled = environment(), Supervisor().states() is not None
    if HEAD in env and not scheduled:
        raise EidolonError(
            "several machines need their scheduler: run `make cluster`, or `make up` on a head;"
            " after `make down` this is one machine again"
        )
    log = Path(env["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]) if scheduled else LOG
    events: list[Event] = []
    with nullcontext() if scheduled else foreground_run():
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text("")
        try:
            with Display(console, Board(task_names(stages), with_encoding(stages))) as display:
                display.say("preparing Airflow")
                prepare_airflow(LOG)
                _follow(display, events, scheduled)
                _deploy(display, events)
                display.say("asking the example query")
                summary = _report(events, stages)
        except (RunError, EidolonError, TransientError) as error:
            raise RunError(explained(error, log, events)) from None
    page = f"http://127.0.0.1:{ports(env).endpoint}"
    then = page if scheduled else f"make serve, then {page}"
    if summary["bento"]["tag"] is None:
        then = "see below: nothing can be served yet"
    metrics = _metrics()
    tables = [table for table in (figures(metrics), by_kind(metrics)) if table is not None]
    console.print(*tables, facts(summary, time.monotonic() - began, then))
    why_not = not_promoted(events)
    if why_not is not None:
        console.print(why_not, style="yellow", highlight=False, markup=False, soft_wrap=True)
    return summary


def explained(error: Exception, log: Path, events: list[Event]) -> str:
    """The message about a run that failed after ``events``."""
    promoted = outcome(events, "promote")
    moved = promoted is not None and promoted.kind == "done"
    return f"{error}\nthe log: {log}" + ("" if moved else "; the champion has not changed")


def _follow(display: Display, events: list[Event], scheduled: bool) -> None:
    """Run the DAG, show the events that it records, and add them to ``events``."""
    name = datetime.now(UTC).strftime("run-%Y%m%dT%H%M%S.%fZ")
    file, offset = record.path(HOME, name), 0
    with (_on_scheduler if scheduled else _here)(name) as state:
        ended, seen = None, time.monotonic()
        while ended is None:
            try:
                ended = state()
                for event, behind in record.follow(file, offset):
                    offset = behind
                    events.append(event)
                    display.take(event)
                seen = time.monotonic()
            except TransientError:  # a server is away, and the run goes on without us
                if time.monotonic() - seen > AWAY:
                    raise
                ended = None
            time.sleep(0.2)
    if not ended:
        failures = [e for e in events if e.kind == "failed"]
        why = f"{failures[-1].task} failed: {failures[-1].text}" if failures else "Airflow failed"
        raise RunError(why)


@contextmanager
def _here(name: str) -> Iterator[Callable[[], bool | None]]:
    """Run the DAG here. Yields a function: whether the run succeeded, or ``None`` while it
    lasts."""
    with LOG.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "dags", "test", "retrain"],
            cwd=ROOT,
            env={**environment(), "EIDOLON_RUN": name},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield lambda: None if process.poll() is None else process.returncode == 0
        finally:
            if process.poll() is None:
                end(family(process.pid))


@contextmanager
def _on_scheduler(name: str) -> Iterator[Callable[[], bool | None]]:
    """Like :func:`_here`, but on the scheduler that is running: two of them would disturb each
    other in one database. The run goes on when nobody follows it any more."""
    airflow = Airflow()
    airflow.trigger("retrain", name)
    yield lambda: {"success": True, "failed": False}.get(airflow.state("retrain", name))


def _deploy(display: Display, events: list[Event]) -> None:
    """Bring the champion, if there is one, to the endpoint: `airflow dags test` starts no other
    DAG. On a scheduler the DAG `deploy` may do it first, and then there is nothing to do. Nor is
    there when the gate has just seen that the champion is what is live."""
    display.take(Event("deploy", "started"))
    if (version := _stays_live(events)) is not None:
        display.take(Event("deploy", "done", f"nothing new: version {version} stays live"))
        return
    lines: list[str] = []
    with LOG.open("a") as out, running([sys.executable, "-m", "ops", "deploy"]) as process:
        for line in lines_of(process):
            lines.append(line)
            print(line, file=out, flush=True)
            display.take(Event("deploy", "line", line))
    if process.returncode == 0:
        display.take(Event("deploy", "done", lines[-1]))
        return
    why = str(failure(lines, process.returncode))
    no_champion = release.deployed() is None and not_promoted(events) is not None
    display.take(Event("deploy", "skipped" if no_champion else "failed", why))
    if not no_champion:
        raise RunError(f"deploy failed: {why}")


def _stays_live(events: list[Event]) -> str | None:
    """The version that the endpoint serves already, if the gate of this run found the same one to
    be the champion."""
    passed = outcome(events, "gate")
    if passed is None or passed.kind != "done":
        return None
    try:
        with LOG.open("a") as out:
            same = rollout.stays_live(passed.result, lambda line: print(line, file=out))
    except (release.ReleaseError, EidolonError, TransientError):
        return None  # deploying says what is wrong
    return str(passed.result["version"]) if same else None


def _metrics() -> dict[str, Any]:
    metrics: dict[str, Any] = read_json(EVALUATION / "metrics.json", "run `dvc repro evaluate`")
    return metrics


def _example() -> dict[str, Any]:
    """The answer to the example query. It is asked again when the bundle or the code has changed:
    asking loads a model."""
    of = [sha256(BUNDLE / "bundle.json"), snapshot.code_hash(), HITS]
    if EXAMPLE.is_file():
        kept = read_json(EXAMPLE, "delete it")
        if kept["of"] == of:
            return dict(kept["answer"])
    done = subprocess.run(
        [sys.executable, "-m", "ops.example", str(HITS)],
        cwd=ROOT,
        env=without_airflow(environment()),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RunError(f"the example query failed: {done.stderr.strip().splitlines()[-1]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    write_json(EXAMPLE, {"of": of, "answer": answer})
    return answer


def _report(events: list[Event], stages: list[str]) -> dict[str, Any]:
    query = _example()
    live = release.deployed()
    summary = summarise(events, _metrics(), query, stages, live["bento"] if live else None)
    write_json(SUMMARY, summary)
    for picture in EVALUATION.glob("*.png"):
        shutil.copy(picture, SUMMARY.parent)
    return summary
