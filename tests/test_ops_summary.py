"""What a run reports: its record, its board, its summary and its figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.errors import EidolonError
from ops import record
from ops.progress import Board
from ops.record import Event
from ops.run import explained
from ops.summary import by_kind, facts, figures, not_promoted, outcome, summarise

STAGES = ["dataset", "train"]


def test_a_record_gives_whole_lines_only(tmp_path: Path) -> None:
    file = record.path(tmp_path, "manual__2026-01-01T00:00:00+00:00")
    assert list(record.follow(file)) == []
    record.append(file, Event("train", "line", "λ = 0.5"))
    with file.open("a") as out:
        out.write('{"task": "tra')
    (event, offset), *rest = record.follow(file)
    assert event.text == "λ = 0.5" and not rest
    assert list(record.follow(file, offset)) == []


def events() -> list[Event]:
    """A run whose first attempt at `train` failed."""
    run = {"run_id": "abc", "model": "eidolon", "version": "3", "created": True}
    return [
        Event("dataset", "started"),
        Event("dataset", "done", result={"stage": "dataset", "seconds": 1.5, "cached": True}),
        Event("train", "started"),
        Event("train", "failed", "no memory"),
        Event("train", "started"),
        Event("train", "line", "train: 3/60 epochs"),
        Event("train", "done", result={"stage": "train", "seconds": 9.0, "cached": False}),
        Event("register", "done", result=run),
        Event("gate", "skipped", "worse"),
    ]


def metrics() -> dict[str, Any]:
    value = {"mean": 0.5, "low": 0.25, "high": 0.75}
    groups = dict.fromkeys(("seen", "validation", "unseen", "unseen_only", "harmonic"), value)
    return {
        "map": dict.fromkeys(("text", "image", "fused"), groups),
        "gain": groups,
        "categories": {"seen": 40, "validation": 12, "unseen": 12},
        "text_only": 0,
        "lambda": 0.4,
    }


def printed(value: dict[str, Any]) -> str:
    console = Console(width=80, record=True, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(figures(value))
    return console.export_text()


def test_the_table_says_what_has_no_interval_and_no_image_figure() -> None:
    few = metrics()
    few["map"] = {kind: dict(groups) for kind, groups in few["map"].items()}
    few["gain"] = dict(few["gain"])
    for groups in (*few["map"].values(), few["gain"]):
        groups["unseen"], groups["unseen_only"] = {"mean": 0.625}, {}
    few |= {"categories": few["categories"] | {"unseen": 2}, "text_only": 3}
    text = " ".join(printed(few).split())
    assert "0.625" in text
    assert "too few categories for an interval: unseen (2)" in text
    assert "searched by text alone, so without an image figure: 3 categories" in text
    for word in ("unseen only", "harmonic"):
        assert word in text
    assert "too few" not in printed(metrics())
    summary = summarise(events(), few, {}, STAGES, None)
    assert summary["gain"]["unseen"] == {"mean": 0.625, "low": None, "high": None}
    assert summary["map"]["fused"]["unseen_only"] == {"class": None}


def test_the_summary_has_all_its_keys() -> None:
    scores = {0.9: "red star", 0.8: "red star", 0.7: "red ring", 0.6: "red star"}
    query = {"text": "red star", "hits": [{"category": c, "score": s} for s, c in scores.items()]}
    summary = summarise(events(), metrics(), query, STAGES, "eidolon:v3")
    assert summary == {
        "map": {
            kind: {key: {"class": 0.5} for key in ("seen", "unseen", "unseen_only", "harmonic")}
            for kind in ("text", "image", "fused")
        },
        "gain": {"unseen": {"mean": 0.5, "low": 0.25, "high": 0.75}},
        "lambda": 0.4,
        "mlflow": {"run_id": "abc", "model": "eidolon", "version": "3"},
        "bento": {"tag": "eidolon:v3"},
        "stages": {
            "dataset": {"seconds": 1.5, "cached": True},
            "train": {"seconds": 9.0, "cached": False},
        },
        "query": query,
    }
    console = Console(width=80, record=True, file=Path(os.devnull).open("w"))  # noqa: SIM115
    console.print(figures(metrics()), facts(summary, 75, "make serve"))
    text = console.export_text()
    for part in (
        "unseen",
        "0.250…0.750",
        "+0.500",
        "eidolon version 3",
        "eidolon:v3",
        "“red star” → red star 0.90 0.80 0.60, red ring 0.70",
        "reports/*.png",
        "artifacts/validation/index.html",
        "1 min 15 s",
        "make serve",
    ):
        assert part in text


def test_each_kind_of_query_has_its_figures() -> None:
    one = metrics()
    lower = {"mean": 0.25, "low": 0.125, "high": 0.375}
    described = {
        "map": {score: dict.fromkeys(groups, lower) for score, groups in one["map"].items()},
        "gain": one["gain"],
    }
    one["kinds"] = {"class": metrics(), "description": described, "both": metrics()}
    found = summarise(events(), one, {}, STAGES, None)["map"]["fused"]["unseen"]
    assert found == {"class": 0.5, "description": 0.25, "both": 0.5}
    assert by_kind(metrics()) is None
    table = by_kind(one)
    assert table is not None and table.row_count == 3


def test_a_refused_version_is_reported_with_the_way_to_overrule_it() -> None:
    reason = "version 3 is not promoted: gain over text is at least -0.0300, not above 0.0"
    before = [event for event in events() if event.task != "gate"]
    told = not_promoted([*before, Event("gate", "started"), Event("gate", "skipped", reason)])
    assert told is not None
    assert told.splitlines()[0] == reason
    assert told.splitlines()[-1].strip() == 'eidolon promote 3 --reason "…"'
    assert not_promoted([*before, Event("gate", "done")]) is None
    waits = not_promoted([*before, Event("gate", "done"), Event("submit", "done")])
    assert waits is not None and waits.startswith("version 3 passed the gate, and waits")
    assert not_promoted(before) is None


def test_a_task_without_a_result_is_named() -> None:
    with pytest.raises(EidolonError, match="register"):
        summarise(events()[:7], metrics(), {}, STAGES, None)
    assert outcome(events(), "nothing") is None


def test_the_board_follows_a_run() -> None:
    board = Board([*STAGES, "register", "gate"], STAGES)
    lines = [board.take(event) for event in events()]
    assert [row.state for row in board.rows.values()] == ["cached", "done", "done", "skipped"]
    assert any("train: 3/60 epochs" in line for line in lines)
    assert board.take(Event("train", "line", "Updating lock file 'dvc.lock'")) == ""
    assert any("failed" in line and "no memory" in line for line in lines)


@pytest.mark.parametrize(
    ("last", "moved"),
    [
        ([], False),
        ([Event("promote", "started")], False),
        ([Event("promote", "failed", "no disk")], False),
        ([Event("promote", "skipped")], False),
        ([Event("promote", "done")], True),
        ([Event("promote", "done"), Event("deploy", "failed", "no disk")], True),
    ],
)
def test_a_failure_says_whether_the_champion_stayed(last: list[Event], moved: bool) -> None:
    told = explained(EidolonError("no disk"), Path("a.log"), [*events(), *last])
    assert told.startswith("no disk\nthe log: a.log")
    assert ("the champion has not changed" in told) != moved
