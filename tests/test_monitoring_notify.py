"""The webhook, with a real server that takes it, refuses it, or never answers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from components.variables import of_endpoint
from ops import monitoring, webhook
from ops.steps import NothingToDo
from tests.hooks import SECRET, Hook

pytest_plugins = ["tests.hooks"]

FOUND: dict[str, Any] = {
    "summary": "1 alarm, and a retraining is asked for",
    "alarms": ["Too much is too high: do less."],
    "new": ["Too much is too high: do less."],
    "standing": [],
    "resolved": [],
    "retrain": True,
    "champion": "7",
    "page": "reports/monitor/index.html",
    "mlflow": "sqlite:///x experiment eidolon-monitor, run 5",
}
CALM = FOUND | {"summary": "no alarm", "alarms": [], "new": [], "retrain": False}


def told(found: dict[str, Any] = FOUND) -> list[str]:
    lines: list[str] = []
    monitoring.notify(found, lines.append)
    assert SECRET not in "\n".join(lines)
    return lines


def test_alarms_are_logged_and_sent_once(hook: Hook) -> None:
    alarm, sent = told()
    assert alarm == "new alarm: Too much is too high: do less."
    assert sent == "the webhook at 127.0.0.1 was told"
    (body,) = hook.got
    assert body["text"].startswith("Eidolon, version 7: 1 alarm")
    assert "\n• new alarm: Too much is too high" in body["text"]
    assert {key: body[key] for key in FOUND} == FOUND


def test_without_alarms_nothing_is_sent(hook: Hook) -> None:
    assert told(CALM) == [] and hook.got == []


def test_an_alarm_that_stands_and_one_that_is_resolved_are_sent_as_such(hook: Hook) -> None:
    told(FOUND | {"new": [], "standing": FOUND["alarms"]})
    told(CALM | {"resolved": ["Too much is 1, and the limit is 2."]})
    stands, resolved = hook.got
    assert "\n• alarm still stands: Too much" in stands["text"] and stands["new"] == []
    assert resolved["text"].startswith(
        "Eidolon, version 7: no alarm\n• alarm is resolved: Too much"
    )


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusal_is_logged_and_fails_nothing(hook: Hook, status: int) -> None:
    hook.status = status
    assert told()[-1] == f"the webhook at 127.0.0.1 was not told: status {status}"


def test_a_webhook_that_hangs_is_given_up(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.3)
    hook.wait = 5
    began = time.monotonic()
    assert told()[-1] == "the webhook (EIDOLON_WEBHOOK) was not told: ReadTimeout"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "url", [f"http://127.0.0.1:1/{SECRET}", f"no url {SECRET}", f"http://[{SECRET}", "ftp://x"]
)
def test_an_address_that_nobody_has_fails_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EIDOLON_WEBHOOK", url)
    assert "was not told" in told()[-1]


def test_a_retraining_is_asked_for_by_an_alarm_alone() -> None:
    assert monitoring.wanted(FOUND) == {k: FOUND[k] for k in ("champion", "alarms", "mlflow")}
    with pytest.raises(NothingToDo):
        monitoring.wanted(CALM)


def test_the_endpoint_does_not_get_the_address() -> None:
    given = {"EIDOLON_WEBHOOK": "http://x", "EIDOLON_HOME": "/here"}
    assert of_endpoint(given) == {"EIDOLON_HOME": "/here"}
