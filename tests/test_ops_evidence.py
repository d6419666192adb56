"""What a trial has shown is kept in MLflow, and people are told of a withdrawal, once each."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from components.files import append_line, write_json
from components.lifecycle import registry, trial
from ops import canary, places, watching
from tests.hooks import Hook

pytest_plugins = ["tests.hooks"]

WHY = "its first 10 hits overlap with the champion's by 0.10, 0.3 is the least"
SIDE = {"status": 200, "ms": 5.0, "degraded": None, "confidence": 0.8}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of a checkout with a registry that has version 1, where version 1 is on trial."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("NO_PROXY", "*")
    for module in (places, canary):
        monkeypatch.setattr(module, "CANARY", tmp_path / "canary.json")
        monkeypatch.setattr(module, "TRIALS", tmp_path / "canary")
    monkeypatch.setattr(canary, "HOME", tmp_path)
    monkeypatch.setattr(canary, "TOLD", tmp_path / "canary" / "told.txt")
    client = registry.client()
    run = client.create_run(client.create_experiment("trials", (tmp_path / "a").as_uri())).info
    client.create_registered_model(registry.MODEL)
    client.create_model_version(registry.MODEL, source="/nowhere", run_id=run.run_id)
    put_on_trial(tmp_path)
    return tmp_path


def put_on_trial(home: Path, version: int = 1, since: str = "2026-11-27T10:00:00") -> None:
    """As :func:`canary.start` and the proxy leave it: withdrawn after two comparisons."""
    began = {"version": version, "bento": f"eidolon:{version}", "place": "b", "port": 1}
    write_json(home / "canary.json", began | {"since": since, "withdrawn": WHY})
    (home / "canary").mkdir(exist_ok=True)
    for number in range(2):
        append_line(home / "canary" / f"{version}.jsonl", json.dumps(record(number)))


def record(number: int) -> dict[str, Any]:
    sides = {"champion": SIDE, "challenger": SIDE}
    told = {"time": "2026-11-27T10:00:01", "request": f"r{number}", "answered_by": "champion"}
    return told | {"overlap": 0.1} | sides


def kept() -> list[str]:
    """What is said when evidence is to be kept."""
    lines: list[str] = []
    canary.keep(lines.append)
    return lines


def test_what_a_trial_has_shown_is_kept_once(home: Path) -> None:
    assert kept() == []  # it has not ended
    places.end_trial()
    assert canary.current() is None and not (home / "canary.json").exists()
    (line,) = kept()
    assert line.startswith("version 1 keeps the evidence")
    tags = registry.registered("1").tags
    assert tags[registry.TRIAL].startswith("2 searches") and WHY in tags[registry.TRIAL]
    assert canary.evidence("1")["withdrawn"] == WHY
    assert kept() == []
    places.end_trial()  # none is left to be ended


def test_without_mlflow_the_evidence_waits(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places.end_trial()
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        away.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        (line,) = kept()
    assert line.startswith("what the trial of version 1 has shown is not in MLflow yet: ")
    (line,) = kept()
    assert line.startswith("version 1 keeps the evidence")


def test_what_belongs_to_no_version_waits_for_nothing(home: Path) -> None:
    put_on_trial(home, 7)
    places.end_trial()
    assert kept() == [] and canary.evidence("7")["compared"] == 2
    assert "true" in (home / "canary" / "7.json").read_text()


def test_a_new_verdict_keeps_the_trial_on_its_page(home: Path) -> None:
    client, run = MlflowClient(), registry.registered("1").run_id
    trial.show("1")  # there is nothing to show
    client.log_text(run, "<html>refused</html>\n", trial.PAGE)
    trial.show("1")
    places.end_trial()
    kept()
    client.log_text(run, "<html>passed</html>\n", trial.PAGE)  # as store_verdict does
    trial.show("1")
    page = registry.artifacts(registry.registered("1"), trial.PAGE)[trial.PAGE]
    assert page.startswith("<html>passed<section id=trial>") and page.count("<section") == 1


def watched(count: int) -> None:
    """Let the watcher in Airflow's triggerer look ``count`` times. Nothing is the champion."""

    async def look() -> None:
        task = asyncio.ensure_future(anext(watching.ChampionMoved().run()))
        await asyncio.sleep(count * watching.SECONDS + 0.5)
        task.cancel()

    asyncio.run(look())


def test_people_are_told_of_a_withdrawal_once(
    home: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SECONDS", 0.05)
    hook.status = 500  # this fails nothing
    watched(3)
    (body,) = hook.got
    assert body["version"] == 1 and body["withdrawn"] == WHY
    assert body["text"].startswith("Eidolon: version 1 is on trial no more") and WHY in str(body)
    places.end_trial()
    put_on_trial(home, 1, "2026-11-28T10:00:00")  # another trial
    watched(3)
    assert len(hook.got) == 2
