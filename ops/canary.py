"""A challenger on trial: `python -m ops canary VERSION`. The proxy compares (:mod:`ops.trial`).

The challenger is served in the place that is not live. In the mode `shadow` its memory of texts and
its journal are its own, so that it draws for itself, and nothing that nobody asked is recorded.
Whatever ends a trial, what was seen is kept on its version in MLflow.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from components import config
from components.errors import EidolonError, TransientError
from components.files import read_json, text_of, write_json, write_text
from components.monitoring import journal
from ops import release, swap, webhook
from ops.comparison import Seen, summary
from ops.environment import HOME
from ops.lock import one_at_a_time
from ops.places import CANARY, TRIALS, end_trial
from ops.stage import Log

Mode = Literal["shadow", "answer"]
TOLD = TRIALS / "told.txt"  # when the trial began whose withdrawal was told last


def start(tag: str, version: str, share: float, mode: Mode, log: Log) -> dict[str, Any]:
    """Put the Bento ``tag`` of ``version`` on trial for a ``share`` of the searches (`shadow`) or
    of the callers (`answer`), from 0 to 1. Returns the content of the trial's file.

    The evidence of an earlier trial of this version is kept in MLflow, and removed here. Raises
    :class:`EidolonError` where `make up` does not run or the version is live, and
    :class:`ReleaseError` when the challenger does not start.
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
        keep(log)
        for file in (_records(version), _ended(version)):
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
        end_trial()
        if swap.runs():
            swap.settle(log)
        log(f"the trial of version {trial['version']} has ended")


def keep(log: Log) -> None:
    """Keep in MLflow, beside the gate's verdict, what trials that have ended have shown. Where that
    fails it is logged, and the next call tries again."""
    for file in sorted(TRIALS.glob("*.json")):
        try:
            _keep(file, log)
        except (EidolonError, TransientError) as error:
            log(f"what the trial of version {file.stem} has shown is not in MLflow yet: {error}")


def _keep(file: Path, log: Log) -> None:
    ended, version = read_json(file, "delete it"), file.stem
    if ended.get("kept"):
        return
    from components.lifecycle import registry, trial  # load mlflow

    seen = evidence(version)
    if seen["compared"] and registry.exists(version):
        trial.keep(version, seen)
        log(f"version {version} keeps the evidence of its trial: `eidolon lineage {version}`")
    write_json(file, ended | {"kept": True})


def tell(log: Log) -> None:
    """Tell people, once for each trial, that the challenger was withdrawn. The proxy, which
    withdraws it, does not have the webhook's address."""
    trial = current()
    if trial is None or trial["withdrawn"] is None or text_of(TOLD) == trial["since"]:
        return
    write_text(TOLD, trial["since"])
    told = f"version {trial['version']} is on trial no more, it is withdrawn: {trial['withdrawn']}"
    log(told)
    facts = {key: trial[key] for key in ("version", "withdrawn")}
    webhook.tell(f"Eidolon: {told}", facts, log)


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
        ended = _ended(version)
        withdrawn = read_json(ended, "delete it")["withdrawn"] if ended.exists() else None
    feedback = {side: dict(counts) for side, counts in marks.items()}
    return summary(seen) | {"withdrawn": withdrawn, "feedback": feedback}


def _records(version: str) -> Path:
    return TRIALS / f"{version}.jsonl"


def _ended(version: str) -> Path:
    return TRIALS / f"{version}.json"
