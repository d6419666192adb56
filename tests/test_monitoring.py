"""The monitor: which logs alarm, and what damaged, empty and large ones do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from benchmarks import logs
from components import config
from components.datasets import emblems
from components.errors import EidolonError
from components.models.encoders import ClipEncoder
from components.monitoring import drift, journal, page
from components.monitoring.figures import Figure
from components.monitoring.monitor import monitor
from components.monitoring.report import Report
from components.monitoring.seen import Seen
from components.monitoring.tally import Sample, tally
from components.monitoring.texts import Embed
from components.vectors import Array, normalized
from tests.toy import ROOT

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
TODAY = NOW.date()
DIM = 48


def words(texts: Sequence[str]) -> Array:
    """A text encoder without a model: the sum of the vectors of a text's groups of letters."""
    found = np.zeros((len(texts), DIM), dtype=np.float32)
    for row, text in enumerate(texts):
        padded = f" {text} "
        for i in range(len(padded) - 2):
            seed = int.from_bytes(padded[i : i + 3].encode()) % 2**32
            found[row] += np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return normalized(found)


def categories() -> list[str]:
    return [emblem.name for emblem in emblems.emblems()]


def gallery(seed: int, count: int = 300, shift: float = 0.0) -> Array:
    made = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    made[:, 0] += shift
    return normalized(made)


def params(**changes: Any) -> config.Params:
    values = yaml.safe_load((ROOT / "profiles" / "embedded.yaml").read_text())
    values["monitor"] |= changes
    return config.Params.model_validate(values)


def seen(folder: Path, embed: Embed | None = words, **changes: Any) -> Seen:
    vectors = gallery(0)
    bundle: Any = SimpleNamespace(
        categories=pd.DataFrame({"category": categories()}),
        gallery=SimpleNamespace(clip=vectors, vision=vectors),
    )
    features: Any = SimpleNamespace(
        categories=bundle.categories, gallery_clip=vectors, gallery_vision=vectors
    )
    given: dict[str, Any] = {"made": NOW - timedelta(days=3), "newest": NOW - timedelta(days=9)}
    given["same"] = frozenset({"clip", "vision"})
    fields: dict[str, Any] = {"features": features, "now": NOW, **given} | changes
    return Seen(folder, [], bundle, "7", embed=embed, **fields)


def look(folder: Path, **changes: Any) -> Report:
    return monitor(params(), seen(folder, **changes))[0]


def figure(report: Report, name: str) -> Figure:
    (found,) = (one for one in report.figures if one.name == name)
    return found


@pytest.fixture(scope="module")
def clip() -> Embed:
    """The embedded world's text encoder, which embeds each text once."""
    encoders, known = params().encoders, dict[str, Array]()
    model = ClipEncoder(str(ROOT / encoders.clip))

    def embed(texts: Sequence[str]) -> Array:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, model.describe(new, encoders.text_templates), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


@pytest.mark.parametrize("seed", range(20))
def test_a_normal_log_does_not_alarm_and_a_drifted_one_asks_for_a_retraining(
    tmp_path: Path, clip: Embed, seed: int
) -> None:
    logs.write(tmp_path / "normal", logs.normal(categories(), 1000, seed), TODAY)
    logs.write(tmp_path / "drifted", logs.drifted(categories(), 1000, seed, 0.5), TODAY)
    before, after = (look(tmp_path / name, embed=clip) for name in ("normal", "drifted"))
    assert before.alarms == [] and not before.retrain
    assert after.retrain and len(after.alarms) == 1
    assert "`monitor.max_strangers`" in after.alarms[0] and "retrain" in after.alarms[0]


def test_one_text_that_a_program_asks_does_not_alarm(tmp_path: Path) -> None:
    asked = logs.normal(categories(), 600, 0) + ["xqzzy health probe"] * 400
    logs.write(tmp_path, asked, TODAY)
    strangers = figure(look(tmp_path), "strangers")
    assert strangers.value is not None and strangers.value > 0.3
    assert strangers.low is not None and strangers.low < 0.2 and strangers.state == "fine"


def test_other_scripts_and_forms_of_a_name_are_the_same_text(tmp_path: Path) -> None:
    forms = ["ｒｅｄ　ＳＴＡＲ", "Red  star", "red\u200b star", "étoile", "e\u0301toile"]
    logs.write(tmp_path, forms * 60, TODAY)
    report = look(tmp_path)
    assert figure(report, "distinct").value == 2 and figure(report, "queries").value == 300
    logs.write(tmp_path / "b", ["красная звезда", "赤い星", "نجمة حمراء", "⭐🔴"] * 75, TODAY)
    assert figure(look(tmp_path / "b"), "strangers").state == "alarm"


def test_few_queries_are_no_evidence(tmp_path: Path) -> None:
    logs.write(tmp_path, ["truck"] * 199, TODAY, relevant=False)
    report = look(tmp_path)
    assert report.alarms == []
    assert {figure(report, n).state for n in ("irrelevant", "strangers", "precision")} == {"open"}
    assert "fewer than 200" in page.render(report)


def test_an_empty_log_and_one_that_is_off(tmp_path: Path) -> None:
    report = look(tmp_path / "none")
    assert report.alarms == [] and len(report.days) == 7
    assert "nothing can be concluded" in report.summary
    page.write(report, tmp_path / "out")
    values = params()
    off = values.model_copy(update={"serve": values.serve.model_copy(update={"journal_days": 0})})
    notes = monitor(off, seen(tmp_path))[0].notes
    assert any("`serve.journal_days` is 0" in note for note in notes)


def test_damaged_lines_are_counted_and_passed_over(tmp_path: Path) -> None:
    logs.write(tmp_path, ["red star"] * 250, TODAY, days=1)
    file = tmp_path / f"queries-{TODAY}.jsonl"
    good = json.loads(file.read_text().splitlines()[0])
    bad = [
        b"\xff\xfe",
        b"3",
        b'{"query": 1}',
        json.dumps(good | {"ms": "NaN"}).encode(),
        json.dumps(good | {"confidence": 7}).encode(),
        json.dumps(good)[:50].encode(),
        json.dumps(good | {"query": "x" * 3_000_000}).encode(),
        b"[" * 100_000,
    ]
    with file.open("ab") as lines:
        lines.write(b"\n".join(bad) + b"\n\n")
    report = look(tmp_path)
    assert figure(report, "queries").value == 250
    assert any("are damaged" in note for note in report.notes)


def test_an_older_line_lacks_what_was_added_since(tmp_path: Path) -> None:
    logs.write(tmp_path, ["red star"], TODAY, days=1)
    file = tmp_path / f"queries-{TODAY}.jsonl"
    record = json.loads(file.read_text())
    del record["truncated"]
    file.write_text(json.dumps(record) + "\n")
    assert figure(look(tmp_path), "queries").value == 1


def test_only_the_last_days_count(tmp_path: Path) -> None:
    logs.write(tmp_path, ["red star"] * 200, TODAY, days=20)
    report = look(tmp_path)
    assert figure(report, "queries").value == 70
    assert list(report.days) == [TODAY - timedelta(days=n) for n in range(6, -1, -1)]


def test_each_figure_of_the_answers_has_its_alarm(tmp_path: Path) -> None:
    every = {"relevant": False, "mode": "text", "degraded": "slow", "unknown_words": 2}
    logs.write(tmp_path, ["red star"] * 300, TODAY, **every, truncated=True, ms=90_000.0)
    endpoint = tmp_path / "endpoint.log"
    line = {"time": NOW.isoformat(), "route": "/search", "status": 503}
    endpoint.write_text("not JSON\n" + (json.dumps(line) + "\n") * 300)
    found = seen(tmp_path, made=NOW - timedelta(days=100), newest=NOW - timedelta(days=200))
    report = monitor(params(), Seen(**vars(found) | {"logs": [endpoint, tmp_path / "none"]}))[0]
    names = {one.name for one in report.figures if one.alarming}
    assert names >= {
        *("irrelevant", "text_only", "degraded", "unknown", "truncated", "latency_p95"),
        *("errors", "champion_days", "data_days"),
    }
    degraded = next(alarm for alarm in report.alarms if "max_degraded" in alarm)
    assert "slow 300" in degraded and "100.0 %" in degraded and "10.0 %" in degraded
    assert report.metrics()["latency_p95"] == pytest.approx(90, rel=0.01)


def test_age_alone_asks_for_no_retraining(tmp_path: Path) -> None:
    """The same data would give the same version, as old as before."""
    report = look(tmp_path, made=NOW - timedelta(days=100), newest=NOW - timedelta(days=200))
    assert {one.name for one in report.figures if one.alarming} == {"champion_days", "data_days"}
    assert not report.retrain


def test_the_gallery_is_compared_in_both_spaces(tmp_path: Path) -> None:
    def after(vectors: Array, names: list[str]) -> Any:
        table = pd.DataFrame({"category": names})
        return SimpleNamespace(categories=table, gallery_clip=vectors, gallery_vision=vectors)

    same, known = gallery(0), categories()
    fine = look(tmp_path, features=after(same[::-1], known))
    assert figure(fine, "gallery_clip_auc").value == pytest.approx(0.5)
    more = np.concatenate([same, gallery(1, 300)])
    grown = look(tmp_path, features=after(more, known))
    assert figure(grown, "gallery_vision_auc").state == "fine"
    other = look(tmp_path, features=after(gallery(2, shift=3.0), [*known[8:], "a", "b"]))
    assert figure(other, "gallery_vision_auc").alarming and other.retrain
    assert figure(other, "categories").value == pytest.approx(10 / len(known))
    wider = after(np.eye(40, 20, dtype=np.float32), known)
    replaced = look(tmp_path, features=wider, same=frozenset())
    assert "another one" in figure(replaced, "gallery_clip_auc").note
    none = look(tmp_path, features=None)
    assert figure(none, "categories").value is None and none.alarms == []


def test_without_the_champion_s_encoder_the_rest_is_looked_at(tmp_path: Path) -> None:
    logs.write(tmp_path, ["truck"] * 300, TODAY)
    report = look(tmp_path, embed=None)
    assert figure(report, "strangers").value is None and figure(report, "queries").value == 300
    assert any("text encoder is not here" in note for note in report.notes)


def test_a_hundred_thousand_lines_are_read_in_bounded_memory(tmp_path: Path) -> None:
    record = {k: v for k, v in json.loads(_one_line(tmp_path)).items() if k != "query"}
    with (tmp_path / f"queries-{TODAY}.jsonl").open("w") as file:
        for number in range(100_000):
            file.write(json.dumps(record | {"query": f"query {number} " + "x" * 200}) + "\n")
    process = psutil.Process()
    before = process.memory_info().rss
    found = tally(journal.answered(tmp_path, TODAY, journal.Passed()), 1000, 0)
    grown = process.memory_info().rss - before
    assert found.days[TODAY].queries == 100_000 and len(found.sample.counts) == 1000
    assert found.sample.distinct == pytest.approx(100_000, rel=0.15)
    assert grown < 20 * 2**20 < (tmp_path / f"queries-{TODAY}.jsonl").stat().st_size / 2


def _one_line(folder: Path) -> str:
    logs.write(folder, ["red star"], TODAY, days=1)
    return (folder / f"queries-{TODAY}.jsonl").read_text()


def test_the_sample_is_the_same_in_any_order_and_its_counts_are_exact() -> None:
    texts = [f"text {n}" for n in range(500) for _ in range(n % 3 + 1)]
    one, other = Sample(100, 5), Sample(100, 5)
    for text in texts:
        one.add(text, TODAY)
    for text in reversed(texts):
        other.add(text, TODAY)
    assert one.counts == other.counts and len(one.counts) == 100
    assert all(c.total() == int(text.split()[1]) % 3 + 1 for text, c in one.counts.items())


def test_a_classifier_separates_what_differs_and_nothing_else() -> None:
    one, other = gallery(1), gallery(2)
    assert drift.separation(one, other, 0) == pytest.approx(0.5, abs=0.1)
    assert (drift.separation(one, gallery(3, shift=4), 0) or 0) > 0.9
    assert drift.separation(one[:3], other, 0) is None
    assert drift.moved(one, one, 200, 0) == drift.Moved(0.5, 0.0)


def test_the_page_shows_alarms_first_and_no_text_as_html(tmp_path: Path) -> None:
    asked = ["<script>alert(1)</script> truck"] * 30 + [*logs.drifted(categories(), 500, 1, 0.9)]
    logs.write(tmp_path / "log", asked, TODAY, relevant=False)
    report = look(tmp_path / "log")
    at = page.write(report, tmp_path / "out")
    assert at.parent.stat().st_mode & 0o077 == 0
    shown = at.read_text()
    assert "<script>" not in shown and "&lt;script&gt;" in shown
    assert shown.index('class="alarms"') < shown.index("<h2>Figures")
    assert shown.count("<img") == 5
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert kept["retrain"] and kept["alarms"] == report.alarms
    assert "truck" not in json.dumps(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [("days", 0), ("max_strangers", 1.5), ("max_gallery_auc", 0.4), ("max_seconds", 0), ("x", 1)],
)
def test_a_wrong_value_is_refused(tmp_path: Path, name: str, value: object) -> None:
    values = yaml.safe_load((ROOT / "profiles" / "embedded.yaml").read_text())
    values["monitor"][name] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(EidolonError, match=rf"monitor\.{name}"):
        config.load(tmp_path / "params.yaml")


def test_days_without_queries_are_days_too(tmp_path: Path) -> None:
    logs.write(tmp_path, ["red star"] * 3, date(2026, 3, 8), days=1)
    days = look(tmp_path).days
    assert days[date(2026, 3, 8)].queries == 3 and days[TODAY].queries == 0
