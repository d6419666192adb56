"""A challenger on trial with real Bentos: shadow, answering, and what is left of it."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.swapping import Endpoint

pytest_plugins = ["tests.serving", "tests.swapping"]
pytestmark = pytest.mark.slow
CANARY = "__import__('ops.canary').canary"
REGISTRY = """
from components.lifecycle import registry
client = registry.client()
client.create_registered_model(registry.MODEL)
for number in range(1, 6):
    run = client.create_run("0")
    client.create_model_version(registry.MODEL, "/nowhere", run.info.run_id)
registry.set_alias(registry.CHAMPION, "5")
"""
"""Five versions; the fifth is the champion."""
SWITCH = "from ops import rollout; rollout.switch({{'tag': {!r}, 'version': {!r}}}, print)"
KEPT = "from components.lifecycle import registry; print(registry.registered('4').tags['trial'])"


def start(endpoint: Endpoint, version: str, mode: str) -> None:
    tag = endpoint.tags[version]
    trial = endpoint.call(f"{CANARY}.start({tag!r}, {version!r}, 1.0, {mode!r}, print)")
    assert (trial["version"], trial["withdrawn"]) == (int(version), None)


def search(endpoint: Endpoint, query: str) -> dict[str, Any]:
    reply = httpx.post(
        f"{endpoint.url}/search", json={"query": query}, timeout=120, trust_env=False
    )
    answer: dict[str, Any] = reply.raise_for_status().json()
    return answer


def evidence(endpoint: Endpoint, version: str, least: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while True:
        found: dict[str, Any] = endpoint.call(f"{CANARY}.evidence({version!r})")
        if found["compared"] >= least:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def in_mlflow(endpoint: Endpoint) -> str:
    """What MLflow has of the trial of version 4. It is removed there, for the next look."""
    done = endpoint.shell(sys.executable, "-c", f"{KEPT}; registry.untag('4', 'trial')")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def journal(endpoint: Endpoint) -> list[dict[str, Any]]:
    files = (endpoint.home / "journal").glob("queries-*.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_shadow_is_compared_and_leaves_no_trace(endpoint: Endpoint) -> None:
    before = endpoint.pointer
    start(endpoint, "4", "shadow")
    queries = [*NAMES[:4], "nobody asked for this yet"]
    for query in queries:
        assert search(endpoint, query)["bundle"]["version"] == 3
        time.sleep(0.2)
    found = evidence(endpoint, "4", 5)
    assert found["overlap"] == 1 and found["withdrawn"] is None
    assert found["challenger"]["errors"] == found["champion"]["errors"] == 0
    assert {one["bundle"] for one in journal(endpoint)} == {3}
    records = (endpoint.home / "canary" / "4.jsonl").read_text()
    assert not any(query in records for query in queries)
    (line,) = endpoint.call(f"{CANARY}.describe()")
    assert "version 4" in line and "5 compared, overlap 1.00; shadow" in line
    endpoint.call(f"{CANARY}.stop(print)")
    assert endpoint.call("swap.Supervisor().states()['bento-b']") == "STOPPED"
    assert (endpoint.pointer, endpoint.version()) == (before, 3)
    assert endpoint.call(f"{CANARY}.describe()") == []
    assert evidence(endpoint, "4", 5)["compared"] == 5  # kept for the verdict


def test_an_answering_one_gets_feedback_and_becomes_live_at_once(endpoint: Endpoint) -> None:
    start(endpoint, "4", "answer")
    answer = search(endpoint, NAMES[0])
    assert answer["bundle"]["version"] == 4
    picture = httpx.get(f"{endpoint.url}/{answer['hits'][0]['picture']}", trust_env=False)
    assert picture.status_code == 200
    mark = {"request": answer["request"], "id": answer["hits"][0]["id"], "right": True}
    httpx.post(f"{endpoint.url}/feedback", json=mark, trust_env=False).raise_for_status()
    found = evidence(endpoint, "4", 1)
    assert found["feedback"] == {"champion": {}, "challenger": {"right": 1}}
    assert endpoint.version() == 3  # what is live
    began = time.monotonic()
    endpoint.deploy("4")
    assert time.monotonic() - began < 5
    assert endpoint.version() == 4
    assert not (endpoint.home / "canary.json").exists()


def test_a_deployment_ends_the_trial_of_another(endpoint: Endpoint) -> None:
    start(endpoint, "4", "shadow")
    endpoint.deploy("5")
    assert not (endpoint.home / "canary.json").exists()
    assert endpoint.version() == 5
    refused = endpoint.python(
        "from ops import canary; canary.start('eidolon:x', '5', 0.1, 'shadow', print)"
    )
    assert refused.returncode != 0 and "version 5 is live" in refused.stderr


def test_whatever_ends_a_trial_its_evidence_is_kept(endpoint: Endpoint) -> None:
    """A deployment of another version, `make down`, and going to the challenger itself."""
    made = endpoint.shell(sys.executable, "-c", REGISTRY)
    assert made.returncode == 0, made.stderr
    begin(endpoint, "shadow")
    done = endpoint.shell(sys.executable, "-c", SWITCH.format(endpoint.tags["5"], "5"))
    assert done.returncode == 0 and "version 4 keeps the evidence" in done.stdout, done.stderr
    assert endpoint.version() == 5 and in_mlflow(endpoint).startswith("1 searches")

    begin(endpoint, "shadow")
    endpoint.ops("down")
    endpoint.up()
    endpoint.wait_for("5")
    assert "version 4 keeps the evidence" in endpoint.ops("canary", "--stop").stdout
    assert in_mlflow(endpoint).startswith("1 searches")

    begin(endpoint, "answer")
    done = endpoint.ops("deploy", "--version", "4")
    assert "version 4 keeps the evidence" in done.stdout, done.stdout + done.stderr
    assert endpoint.version() == 4 and in_mlflow(endpoint).startswith("1 searches")


def begin(endpoint: Endpoint, mode: str) -> None:
    """Put version 4 on trial, and compare one search."""
    start(endpoint, "4", mode)
    search(endpoint, NAMES[0])
    assert evidence(endpoint, "4", 1)["compared"] == 1
