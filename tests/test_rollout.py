"""The steps after training, on a real registry: what people are told, and who is promoted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.lifecycle import promotion, registry
from ops import rollout
from ops.steps import NothingToDo
from tests.hooks import Hook
from tests.toy import ROOT

pytest_plugins = ["tests.hooks"]

PASSED: dict[str, Any] = {"version": "2", "champion": "1", "reason": "better"}


@pytest.fixture(scope="module", autouse=True)
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A registry whose champion is version 1. Version 2 has passed the gate too, and is the
    challenger."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        shutil.copy(ROOT / "params.yaml", folder)
        registry.client().create_registered_model(registry.MODEL)
        for number in (1, 2):
            registered(number, "passed")
        registry.set_alias(registry.CHAMPION, "1")
        yield


def registered(number: int, verdict: str) -> None:
    registry.client().create_model_version(registry.MODEL, source=f"/nowhere/{number}")
    registry.tag(str(number), registry.VERDICT, verdict)
    registry.set_alias(registry.CHALLENGER, str(number))


def test_an_older_version_waits_in_vain_once_a_newer_one_has_passed() -> None:
    registered(3, "refused")  # takes the place of nobody
    registered(4, "passed")
    with pytest.raises(NothingToDo, match="version 2 is superseded: version 4 has passed the gate"):
        rollout.promote("2", PASSED, print)
    assert registry.version_of(registry.CHAMPION) == "1"
    registry.tag("4", registry.ROLLED_BACK, "for 1: users complain")
    rollout.promote("2", PASSED, print)
    registry.untag("4", registry.ROLLED_BACK)
    rollout.promote("2", PASSED, print)  # a task that is tried again
    assert registry.version_of(registry.CHAMPION) == "2"
    promotion.roll_back("1")
    registry.untag("2", registry.ROLLED_BACK)
    registry.set_alias(registry.CHALLENGER, "2")  # its data and code are today's again
    rollout.promote("2", PASSED, print)
    assert registry.version_of(registry.CHAMPION) == "2"


def test_people_are_told_of_a_refused_version_with_the_reason(hook: Hook) -> None:
    registry.tag("4", registry.ROLLED_BACK, "for 1: users complain")
    with pytest.raises(NothingToDo, match="was rolled back"):
        rollout.gate("4", print)
    (told,) = hook.got
    assert told["text"].startswith("Eidolon: version 4 was rolled back (for 1: users complain)")
    assert told["version"] == "4" and told["refused"] in told["text"]
    assert told["text"].endswith(f"/#/models/{registry.MODEL}/versions/4")


def test_people_are_told_when_nothing_can_be_put_back(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.release.deployed", lambda: {"version": 1})
    with pytest.raises(NothingToDo, match="the champion stays"):
        rollout.put_back("1", "its Bento does not start", print)
    (told,) = hook.got
    assert "version 1 could not be deployed (its Bento does not start)" in told["text"]


def test_who_approves_reads_the_figures_that_mlflow_keeps(tmp_path: Path) -> None:
    client = registry.client()
    place = client.create_experiment("verdicts", (tmp_path / "artifacts").as_uri())
    run = client.create_run(place).info.run_id
    made = client.create_model_version(registry.MODEL, "/nowhere", run_id=run)
    version = str(made.version)
    registry.set_alias(registry.CHALLENGER, version)
    passed = PASSED | {"version": version}
    lines: list[str] = []
    assert "| slice |" not in rollout.waiting([passed], lines.append)["body"]
    assert "keeps no verdict/verdict.json" in lines[-1]

    part = {"name": "seen", "categories": 40, "mean": -0.0012, "low": -0.002, "high": 0.0004}
    part |= {"least": -0.01, "outcome": "no worse"}
    few = part | {"name": "new", "mean": None, "low": None, "high": None, "outcome": "too few"}
    one = {"against": "version 1, the champion", "overall": part, "slices": [few]}
    client.log_dict(run, {"gain": part, "comparisons": [one]}, "verdict/verdict.json")
    body = rollout.waiting([passed], lines.append)["body"]
    assert body.startswith("better\n\n**Compared with text alone**\n\n| slice |")
    row = "| seen | 40 | -0.0012 | -0.0020 and +0.0004 | -0.01 | no worse |"
    assert body.count(row) == 2 and "| new | 40 |  |  | -0.01 | too few |" in body
    assert f"/#/models/{registry.MODEL}/versions/{version})" in body
