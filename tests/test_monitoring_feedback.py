"""Marks of hits: joined with their queries, kept by the content of pictures, and a model's
agreement with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components import config
from components.errors import EidolonError
from components.imagining.memory import Drawn, Memory
from components.imagining.recipes import address_of, recipe_of, wanted
from components.index.gallery import Gallery
from components.learning.aggregator import Aggregator
from components.monitoring import feedback, journal
from components.monitoring.agreement import Ranker, agreement, remembered
from components.monitoring.answers import precision
from components.monitoring.feedback import Judged, Marks
from components.monitoring.journal import Answered, Marked
from components.monitoring.tally import tally
from components.vectors import Array
from tests.toy import ROOT

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
PIXELS = {1: {"gallery/a.png": "aa", "gallery/b.png": "bb"}, 2: {"gallery/a.png": "bb"}}


def mark(picture: str, right: bool, minute: int = 0, request: str = "r1") -> Marked:
    at = NOW + timedelta(minutes=minute)
    return Marked(time=at, request=request, id=picture, right=right, bundle=1)


def answer(query: str, hits: Sequence[str], request: str = "r1") -> Answered:
    return Answered(
        time=NOW, request=request, query=query, known=False, mode="fused", degraded=None,
        confidence=0.5, relevant=True, unknown_words=0, hits=list(hits), ms=1, bundle=1,
    )  # fmt: skip


def judged(query: str, picture: str, right: bool, minute: int = 0, bundle: int = 1) -> Judged:
    return Judged(query, picture, right, NOW + timedelta(minutes=minute), bundle, 1)


def test_marks_are_joined_with_their_queries_and_the_last_one_counts() -> None:
    marks = Marks.of([
        mark("gallery/a.png", True), mark("gallery/b.png", False, 1),
        mark("gallery/a.png", False, 2, "r2"), mark("gallery/a.png", True, 3, "unknown"),
        mark("imagined", True, 4),
    ])  # fmt: skip
    answers = [
        answer("Red  STAR", ["gallery/a.png", "gallery/b.png"]),
        answer("red star", ["gallery/c.png"], "r2"),
    ]
    assert list(marks.beside(answers)) == answers
    found = {(one.query, one.picture): (one.right, one.rank) for one in marks.last()}
    assert found == {
        ("red star", "gallery/a.png"): (False, None),
        ("red star", "gallery/b.png"): (False, 2),
        ("red star", "imagined"): (True, None),
    }


def test_a_mark_belongs_to_the_last_answer_before_it() -> None:
    """A caller may give every request the same id."""
    marks = Marks.of([mark("gallery/a.png", True, 5)])
    asked = [answer("first", ["gallery/a.png"]), answer("second", ["gallery/a.png"])]
    later = answer("third", ["gallery/a.png"])
    later = later.model_copy(update={"time": NOW + timedelta(minutes=6)})
    list(marks.beside([*asked, later]))
    assert [one.query for one in marks.last()] == ["second"]


def test_only_the_newest_marks_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "MOST", 3)
    held = Marks.of(mark("a", True, request=f"r{n}") for n in range(10))
    assert set(held.by_request) == {"r7", "r8", "r9"}


def test_the_table_names_pictures_by_content_and_is_written_when_it_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "feedback.csv"
    first = [judged("red star", "gallery/b.png", True), judged("a", "gallery/a.png", False)]
    table = feedback.kept([*first, judged("a", "imagined", True)], PIXELS, path)
    assert table is not None and table.to_numpy().tolist() == [
        ["a", "aa", "0", "2026-03-09T12:00:00+00:00"],
        ["red star", "bb", "1", "2026-03-09T12:00:00+00:00"],
    ]
    before = path.stat().st_mtime_ns
    assert feedback.kept(first[::-1], PIXELS, path) is None
    assert path.stat().st_mtime_ns == before
    # another version has the picture in another place, and a person changes their mind
    changed = feedback.kept([judged("red star", "gallery/a.png", False, 5, 2)], PIXELS, path)
    assert changed is not None and changed["right"].tolist() == ["0", "0"]
    assert feedback.kept([judged("red star", "gallery/b.png", True, 4)], PIXELS, path) is None
    assert feedback.kept([judged("x", "gallery/a.png", True, 9, bundle=9)], PIXELS, path) is None


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "feedback.csv"
    assert feedback.read(path).empty
    path.write_text("query,right\na,1\n")
    with pytest.raises(EidolonError, match="git checkout"):
        feedback.read(path)


def table(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query", "pixels", "right"])


def test_agreement_counts_right_pictures_above_wrong_ones() -> None:
    marks = table(
        ("a", "1", "1"), ("a", "2", "0"), ("a", "3", "0"), ("b", "1", "1"), ("b", "2", "0"),
        ("only right", "1", "1"), ("c", "1", "1"), ("c", "9", "0"),
    )  # fmt: skip
    scores = np.array([0.5, 0.2, 0.9, 0.4, 0.4, 1.0, 0.3, np.nan])
    found = agreement(marks, scores, samples=200, seed=0, least=2)
    assert found.pairs.mean == pytest.approx((0.5 + 0.5) / 2)
    assert (found.queries, found.marks) == (2, 5)
    assert found.pairs.interval() == (0.5, 0.5)
    assert agreement(marks, scores, 200, 0, least=10).pairs.interval() is None
    nothing = agreement(marks[:0], scores[:0], 200, 0, 2)
    assert nothing.queries == 0 and np.isnan(nothing.pairs.mean)


def test_a_ranker_scores_categories_by_their_vectors_and_other_texts_by_its_encoder() -> None:
    eye = np.eye(3, dtype=np.float32)
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> Array:
        asked.extend(texts)
        return eye[[1]]

    def ranker(pictured: Array | None) -> Ranker:
        rows = {"p0": 0, "p1": 1, "p2": 2}
        return Ranker(
            Gallery(eye, eye),
            rows,
            ["Red Star"],
            eye[[0]],
            eye[[2]],
            0.25,
            embed,
            lambda _: pictured,
        )

    marks = table(
        ("red star", "p0", "1"), ("red star", "p2", "0"), ("moon", "p1", "1"), ("moon", "?", "0")
    )
    assert ranker(None).scores(marks)[:3].tolist() == [0.75, 0.25, 1.0]
    found = ranker(eye[2]).scores(marks)
    assert found[2] == 0.75 and np.isnan(found[3])
    assert asked == ["moon", "moon"]


def test_pictures_of_texts_come_from_the_memory_of_the_service(tmp_path: Path) -> None:
    generator = config.load(ROOT / "params.yaml").generator
    drawn, dim = {"model": "m", "dtype": "float32"}, 96
    memory = Memory(tmp_path / "texts.sqlite", "both", 10**6)
    vector = np.eye(1, dim, dtype=np.float32)[0]
    for one in wanted(generator, ["moon"])[:2]:
        at = address_of(recipe_of(one.prompt, one.seed, drawn))
        memory.put([Drawn(at, vector, vector, 0.1, 0.1, "", b"png")])
    imagined = remembered(memory, generator, drawn, Aggregator(dim).eval())
    found = imagined("moon")
    assert found is not None and found.shape == (dim,)
    assert imagined("sun") is None


def recorded(folder: Path, *answers: Answered) -> list[Answered]:
    """What the monitor reads of ``answers``, which the service wrote in this order."""
    lines = "".join(f"{one.model_dump_json()}\n" for one in answers)
    (folder / journal.file_name("queries", NOW.date())).write_text(lines)
    return list(journal.answered(folder, NOW.date(), journal.Passed()))


def of_version(version: int, seconds: int, one: Answered) -> Answered:
    at = NOW + timedelta(seconds=seconds)
    return one.model_copy(update={"bundle": version, "time": at})


def test_a_mark_belongs_to_the_challenger_that_answered_and_not_to_who_was_asked_again(
    tmp_path: Path,
) -> None:
    """In the trial `--answer` both write to one journal, with one id."""
    seen = of_version(2, 0, answer("red star", ["gallery/a.png", "gallery/b.png"]))
    again = of_version(1, 2, answer("red star", ["gallery/c.png"]))
    later = of_version(2, 3, answer("blue ring", ["gallery/d.png"], "r2"))
    read = recorded(tmp_path, seen, again, later)
    assert read == [seen, later]
    marks = Marks.of([mark("gallery/b.png", True, 1)])
    assert tally(marks.beside(read), 10, 0).days[NOW.date()].queries == 2
    (found,) = marks.last()
    assert (found.picture, found.rank, found.right) == ("gallery/b.png", 2, True)
    limits = config.load(ROOT / "params.yaml").monitor
    assert precision(limits, [found]).value == 1.0


def test_a_caller_who_uses_an_id_and_a_query_again_is_counted_each_time(tmp_path: Path) -> None:
    asked = answer("health probe", ["gallery/a.png"])
    minutes = [of_version(1 if n < 5 else 2, 600 * n, asked) for n in range(10)]
    assert recorded(tmp_path, *minutes) == minutes
