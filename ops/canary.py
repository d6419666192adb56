"""A challenger on trial: `python -m ops canary VERSION`. The proxy compares (:mod:`ops.trial`).

The challenger is served in the place that is not live. In the mode `shadow` its memory of texts and
its journal are its own, so that it draws for itself, and nothing that nobody asked is recorded.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from components import config
from components.errors import EidolonError
from components.files import read_json, write_json
from components.monitoring import journal
from ops import release, swap
from ops.comparison import Seen, summary
from ops.environment import HOME
from ops.lock import one_at_a_time
from ops.places import CANARY
from ops.stage import Log

Mode = Literal["shadow", "answer"]


def start(tag: str, version: str, share: float, mode: Mode, log: Log) -> dict[str, Any]:
    """Put the Bento ``tag`` of ``version`` on trial for a ``share`` of the searches (`shadow`) or
    of the callers (`answer`), from 0 to 1. Returns the content of the trial's file.

    The evidence of an earlier trial of this version is removed. Raises :class:`EidolonError` where
    `make up` does not run or the version is live, and :class:`ReleaseError` when the challenger
    does not start.
    """
    if not swap.runs():
        raise EidolonError("a trial needs the endpoint of `make up`: start that first")
    live = release.deployed()
    if live is None or str(live["version"]) == version:
        raise EidolonError(
            f"version {version} is live: a trial compares another version with it"
            if live
            else "nothing is deployed to compare with: `eidolon deploy` first"
        )
    with one_at_a_time("deploy"):
        place = swap.aside(tag, int(version), log, apart=mode == "shadow")
        here = place.held
        assert here is not None
        for file in (_records(version), _withdrawn(version)):
            file.unlink(missing_ok=True)
        trial = {
            "bento": tag,
            "version": int(version),
            "place": place.name,
            "port": here["port"],
            "share": share,
            "mode": mode,
            "since": datetime.now(UTC).isoformat(),
            "limits": config.load().canary.model_dump(),
            "withdrawn": None,
        }
        write_json(CANARY, trial)
    log(f"version {version} is on trial ({mode}, {share:g})")
    return trial


def stop(log: Log) -> None:
    """End the trial, and stop the challenger when nothing is in flight to it. What was seen stays
    (:func:`evidence`)."""
    with one_at_a_time("deploy"):
        trial = current()
        if trial is None:
            log("nothing is on trial")
            return
        if trial["withdrawn"] is not None:
            write_json(_withdrawn(str(trial["version"])), {"withdrawn": trial["withdrawn"]})
        CANARY.unlink(missing_ok=True)
        if swap.runs():
            swap.settle(log)
        log(f"the trial of version {trial['version']} has ended")


def current() -> dict[str, Any] | None:
    """The trial's file: which version, which share, which mode, and why it was ``withdrawn``."""
    if not CANARY.exists():
        return None
    value: dict[str, Any] = read_json(CANARY, "`python -m ops canary --stop` removes it")
    return value


def describe() -> list[str]:
    """The trial as a line for a person."""
    trial = current()
    if trial is None:
        return []
    seen = evidence(str(trial["version"]))
    alike = "" if seen["overlap"] is None else f", overlap {seen['overlap']:.2f}"
    state = f"withdrawn: {trial['withdrawn']}" if trial["withdrawn"] else trial["mode"]
    return [
        f"trial     version {trial['version']} ({trial['bento']}) in place {trial['place']}, "
        f"{trial['share']:g}, {seen['compared']} compared{alike}; {state}"
    ]


def evidence(version: str) -> dict[str, Any]:
    """What the trial of ``version`` has shown: :func:`ops.comparison.summary`, why it was
    ``withdrawn`` if it was, and ``feedback``, the marks that people gave to either side's answers,
    as counts of right and wrong."""
    records = []
    if (file := _records(version)).exists():
        with file.open("rb") as lines:
            records = [record for record in journal.parsed(lines) if record is not None]
    seen = [Seen(one["champion"], one["challenger"], one["overlap"]) for one in records]
    by = {one["request"]: one["answered_by"] for one in records}
    marks: dict[str, Counter[str]] = {"champion": Counter(), "challenger": Counter()}
    if records:
        began = date.fromisoformat(records[0]["time"][:10])
        for mark in journal.read(HOME / "journal", "feedback", began):
            if side := by.get(str(mark.get("request"))):
                marks[side]["right" if mark.get("right") else "wrong"] += 1
    trial = current()
    if trial is not None and str(trial["version"]) == version:
        withdrawn = trial["withdrawn"]
    else:
        kept = _withdrawn(version)
        withdrawn = read_json(kept, "delete it")["withdrawn"] if kept.exists() else None
    feedback = {side: dict(counts) for side, counts in marks.items()}
    return summary(seen) | {"withdrawn": withdrawn, "feedback": feedback}


def _records(version: str) -> Path:
    return HOME / "canary" / f"{version}.jsonl"


def _withdrawn(version: str) -> Path:
    return HOME / "canary" / f"{version}.json"
