"""The work of the DAG `monitor`, with a real champion and the logs that the services write."""

from __future__ import annotations

import configparser
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components import config
from components.lifecycle import registry
from ops import monitoring, services
from ops.environment import environment, ports
from ops.places import NAMES, program
from tests.hooks import Hook

pytest_plugins = ["tests.hooks"]

KEYS = ("new", "standing", "resolved")
LEAST = 20  # searches from which anything is concluded


@pytest.fixture
def champion(toy_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the toy project as the working directory, with a champion and its own logs."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("EIDOLON_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    monkeypatch.setattr(services, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(monitoring, "HOME", tmp_path)
    text = config.PARAMS.read_text().replace("min_queries: 200", f"min_queries: {LEAST}")
    config.PARAMS.write_text(text)
    assert config.load().monitor.min_queries == LEAST
    registry.set_alias(registry.CHAMPION, registry.register(config.load()).version)
    services.LOGS.mkdir()
    return toy_copy


def log_of(name: str) -> Path:
    """The file into which supervisord writes what the service ``name`` prints."""
    env = environment({}, Path.cwd())
    parsed = configparser.RawConfigParser()
    parsed.read_string(services.configuration(services.services(env, ports(env))))
    return Path(parsed[f"program:{name}"]["stdout_logfile"])


def answered(file: Path, status: int, times: int) -> None:
    line = {"time": datetime.now(UTC).isoformat(), "route": "/search", "status": status}
    with file.open("a") as lines:
        lines.write((json.dumps(line) + "\n") * times)


def looked() -> dict[str, Any]:
    return monitoring.observe(lambda line: None)


def failing(found: dict[str, Any]) -> list[str]:
    return [alarm for alarm in found["alarms"] if "`monitor.max_errors`" in alarm]


def test_failed_searches_of_either_bento_and_of_the_proxy_alarm(champion: Path) -> None:
    one, other = (log_of(program(name)) for name in NAMES)
    answered(one, 200, LEAST)
    assert not failing(looked())
    answered(other.with_name(f"{other.name}.1"), 500, 10)  # rotated
    answered(log_of(services.ENDPOINT), 503, 10)
    (alarm,) = failing(looked())
    assert "50.0 %" in alarm


def test_people_are_told_what_is_new_since_the_last_look_what_stands_and_what_is_resolved(
    champion: Path, hook: Hook
) -> None:
    failed = log_of(services.ENDPOINT)
    for status, times in ((503, LEAST), (503, 1), (200, 500 * LEAST), (200, 1)):
        answered(failed, status, times)
        monitoring.notify(looked(), lambda line: None)
    words = [
        {key: len([one for one in body[key] if "monitor.max_errors" in one]) for key in KEYS}
        for body in hook.got
    ]
    assert words == [
        {"new": 1, "standing": 0, "resolved": 0},
        {"new": 0, "standing": 1, "resolved": 0},
        {"new": 0, "standing": 0, "resolved": 1},
    ]
    assert "alarm is resolved: The share of searches that failed is 0.2 %" in hook.got[2]["text"]
