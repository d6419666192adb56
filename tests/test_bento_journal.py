"""The logs of queries and of feedback."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bento import journal
from bento.journal import Journal
from components.api.messages import Answer, BundleName, Feedback, Hit, Timings
from components.monitoring.journal import HITS, Passed, answered, marked, read
from tests import documents

TODAY = datetime.now(UTC).date()


def answer(**changes: Any) -> Answer:
    hits = [Hit.model_construct(id=f"gallery/star/{i:04}.png") for i in range(20)]
    fields = {
        "request": "5f0c4cf0e5f14e6f",
        "query": "blue ★ moon",
        "known": False,
        "mode": "fused",
        "degraded": None,
        "confidence": 0.7,
        "relevant": True,
        "unknown_words": ["moon"],
        "truncated": True,
        "hits": hits,
        "timings": Timings(total=41.7),
        "bundle": BundleName(version=3, digest="769354cb145b"),
    }
    return Answer.model_construct(**fields | changes)


def feedback(right: bool = True) -> Feedback:
    return Feedback(request="5f0c4cf0e5f14e6f", id="gallery/star/0001.png", right=right)


def test_a_query_is_recorded_with_what_monitoring_needs_and_no_more(tmp_path: Path) -> None:
    Journal(tmp_path, 30).answered(answer())
    (record,) = read(tmp_path, "queries", TODAY)
    assert datetime.fromisoformat(record.pop("time")).tzinfo is not None
    assert record == {
        "request": "5f0c4cf0e5f14e6f",
        "query": "blue ★ moon",
        "known": False,
        "mode": "fused",
        "degraded": None,
        "confidence": 0.7,
        "relevant": True,
        "unknown_words": 1,
        "truncated": True,
        "hits": [f"gallery/star/{i:04}.png" for i in range(HITS)],
        "ms": 41.7,
        "bundle": 3,
    }


def test_feedback_has_a_log_of_its_own(tmp_path: Path) -> None:
    log = Journal(tmp_path, 30)
    log.answered(answer())
    log.judged(feedback(), 3)
    (record,) = read(tmp_path, "feedback", TODAY)
    assert record.pop("time")
    assert record == feedback().model_dump() | {"bundle": 3}
    assert len(list(tmp_path.iterdir())) == 2


def test_the_document_has_each_field(tmp_path: Path) -> None:
    log = Journal(tmp_path, 30)
    log.answered(answer())
    log.judged(feedback(), 3)
    rows = documents.section("docs/monitoring.md", "Logs of queries and feedback")[1:]
    shown = {(row[0], field) for row in rows for field in documents.codes(row[1])}
    recorded = {
        (name, field)
        for name in ("queries", "feedback")
        for record in read(tmp_path, name, TODAY)
        for field in record
    }
    assert shown == recorded


def test_what_is_written_is_read_by_the_monitor(tmp_path: Path) -> None:
    log, passed = Journal(tmp_path, 30), Passed()
    log.answered(answer())
    log.judged(feedback(), 3)
    (asked,) = answered(tmp_path, TODAY, passed)
    (mark,) = marked(tmp_path, TODAY, passed)
    for record, name in ((asked, "queries"), (mark, "feedback")):
        (raw,) = read(tmp_path, name, TODAY)  # type: ignore[arg-type]
        assert set(raw) == set(type(record).model_fields)
    assert passed.count == 0 and asked.query == "blue ★ moon" and mark.right


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    Journal(tmp_path / "log", 30).answered(answer())
    (file,) = (tmp_path / "log").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_old_files_are_removed_and_others_are_not(tmp_path: Path) -> None:
    days = [TODAY - timedelta(days=n) for n in (1, 2, 3, 400)]
    for name in ("queries", "feedback"):
        for day in days:
            (tmp_path / f"{name}-{day}.jsonl").write_text("{}\n")
    (tmp_path / "notes-2001-01-01.jsonl").write_text("{}\n")
    (tmp_path / "queries-2001-99-01.jsonl").write_text("{}\n")
    Journal(tmp_path, 3).answered(answer())
    kept = {f"{n}-{day}.jsonl" for n in ("queries", "feedback") for day in days[:2]}
    mine = {f"queries-{TODAY}.jsonl", "notes-2001-01-01.jsonl", "queries-2001-99-01.jsonl"}
    assert {file.name for file in tmp_path.iterdir()} == kept | mine


def test_files_are_removed_when_a_day_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Journal(tmp_path, 1)
    log.answered(answer())

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Tomorrow:
            return cls.fromisoformat(f"{TODAY + timedelta(days=1)}T00:00:01+00:00")

    monkeypatch.setattr(journal, "datetime", Tomorrow)
    log.answered(answer())
    (file,) = tmp_path.iterdir()
    assert file.name == f"queries-{TODAY + timedelta(days=1)}.jsonl"


def test_with_no_days_nothing_is_written_or_removed(tmp_path: Path) -> None:
    old = tmp_path / "queries-2001-01-01.jsonl"
    old.write_text("{}\n")
    log = Journal(tmp_path, 0)
    log.answered(answer())
    log.judged(feedback(), 3)
    assert list(tmp_path.iterdir()) == [old]


def _many(folder: Path, name: str) -> None:
    log = Journal(folder, 30)
    for _ in range(200):
        log.answered(answer(query=name * 500))


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    workers = [fork.Process(target=_many, args=(tmp_path, name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    queries = [record["query"] for record in read(tmp_path, "queries", TODAY)]
    assert sorted(queries) == sorted(name * 500 for name in "abc" for _ in range(200))


def test_a_failing_disk_is_reported_once_and_the_log_goes_on_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal.log, "propagate", True)
    log, write = Journal(tmp_path, 30), os.write
    log.answered(answer(query="before"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, line: write(handle, line[:20]))
        log.answered(answer(query="cut short"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _full)
        log.answered(answer(query="lost"))
    log.answered(answer(query="after"))
    assert [r["query"] for r in read(tmp_path, "queries", TODAY)] == ["before", "after"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def _full(handle: int, line: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_made_fails_no_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Journal(tmp_path / "file" / "log", 30).answered(answer())


def test_reading_skips_damaged_lines_and_earlier_days(tmp_path: Path) -> None:
    lines = [b'{"n": 1}', b'{"n": 2', b"\xff\xfe", b"", b"3", b'{"n": 4}']
    (tmp_path / "queries-2026-03-02.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (tmp_path / "queries-2026-03-01.jsonl").write_text(json.dumps({"n": 0}) + "\n")
    (tmp_path / "feedback-2026-03-02.jsonl").write_text(json.dumps({"n": 5}) + "\n")

    def numbers(since: date) -> list[int]:
        return [record["n"] for record in read(tmp_path, "queries", since)]

    assert numbers(date(2026, 3, 2)) == [1, 4]
    assert numbers(date(2026, 1, 1)) == [0, 1, 4]
    assert list(read(tmp_path / "none", "queries", date(2026, 1, 1))) == []
