"""`python -m benchmarks.authors`: it agrees with our evaluation, and notices when that is wrong."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import authors, published, reference
from benchmarks.authors import Checked, cases, check
from benchmarks.published import MILLION, SHAPES, Shape, write_checkpoint
from components.authors import evaluation, layout
from components.authors.choices import Method
from components.errors import EidolonError
from tests.definitions import slow

pytestmark = pytest.mark.numeric

COLUMNS = ["text", "image", "joint", "0.1", "aggregated"]
KINDS = list(Method)
SMALL = (9, 300)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Small vectors, and a place for temporary files that shows what is left."""
    monkeypatch.setattr(published, "TEXT", 24)
    monkeypatch.setattr(published, "VISION", 32)
    monkeypatch.setattr(published, "_GALLERY_NOISE", (1.5, 1.5))
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def checked(
    tmp_path: Path, name: str = "dtd", shape: tuple[int, int] = SMALL, kinds: list[Method] = KINDS
) -> list[Checked]:
    weights = write_checkpoint(tmp_path / "model.pth", 32)
    return list(check(name, Shape(*shape), kinds, tmp_path / "model.pth", weights))


def test_the_definition_is_that_of_a_loop_down_the_ranking() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, positive = rng.normal(size=40), rng.random(40) < 0.2
        found = reference.average_precision(scores, positive)
        assert found == pytest.approx(slow(scores, positive, np.zeros(40, bool)), nan_ok=True)


def test_all_columns_and_kinds_of_a_small_set_agree(tmp_path: Path, small: Path) -> None:
    found = checked(tmp_path)
    assert [one.kind for one in found] == KINDS
    for one in found:
        assert list(one.expected) == COLUMNS
        assert one.difference < 1e-12 and not one.wrong
        assert 0.1 < min(one.expected.values()) < max(one.expected.values()) < 0.99
        assert one.memory > 10
    assert len({round(value, 6) for one in found for value in one.expected.values()}) == 15
    assert not list(small.iterdir())


def test_imagenet_and_the_million_have_its_names(tmp_path: Path) -> None:
    assert SHAPES["imagenet"][0] == SHAPES[MILLION][0] == 1000
    for name in ("imagenet", MILLION):
        (found,) = checked(tmp_path, name, (1000, 1200), KINDS[:1])
        assert not found.wrong


def test_the_sets_are_those_of_the_authors() -> None:
    assert [*SHAPES] == [*layout.SETS, MILLION]
    assert cases(["dtd", MILLION], KINDS) == [("dtd", KINDS), (MILLION, [Method.CLASS])]


def without_the_trapezoid(scores: Any, positive: Any, junk: Any) -> Any:
    """Average precision as scikit-learn has it."""
    found = []
    for row, hits in zip(scores, positive, strict=True):
        ranks = np.flatnonzero(hits[np.argsort(-row)])
        found.append((np.arange(1, ranks.size + 1) / (ranks + 1)).mean() if ranks.size else np.nan)
    return np.array(found)


def nothing_for_no_positives(scores: Any, positive: Any, junk: Any) -> Any:
    return np.nan_to_num(average_precisions(scores, positive, junk))


average_precisions = evaluation.average_precisions
text_of, images_of = layout._text, layout._images


def unit(values: Any) -> Any:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("module", "name", "wrong", "columns"),
    [
        (evaluation, "average_precisions", without_the_trapezoid, COLUMNS),
        (evaluation, "average_precisions", nothing_for_no_positives, COLUMNS),
        (evaluation, "normalized", lambda x: x, ["joint", "0.1"]),
        (evaluation, "FIXED", 0.11, ["0.1"]),
        (layout, "_text", lambda *a: unit(text_of(*a)), ["joint", "0.1", "aggregated"]),
        (layout, "_images", lambda *a: unit(images_of(*a)), COLUMNS[1:]),
        (layout, "_order", lambda images: sorted(images)[::-1], COLUMNS),
        (layout, "_order", lambda images: sorted(images), []),
    ],
    ids=[
        *("AP of scikit-learn", "queries without positives", "mean not normalised", "weight"),
        *("text normalised", "pictures normalised", "other order", "the same order"),
    ],
)
def test_a_wrong_evaluation_is_noticed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    name: str,
    wrong: Callable[..., Any] | float,
    columns: list[str],
) -> None:
    """Each rule of docs/evaluation.md, broken alone, changes the columns it is about."""
    monkeypatch.setattr(module, name, wrong)
    differ = set()
    for one in checked(tmp_path):
        found = dict(zip(COLUMNS, one.found.values(), strict=True))
        differ |= {c for c in COLUMNS if abs(found[c] - one.expected[c]) > authors.TOLERANCE}
    assert differ == set(columns)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["authors", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(authors.__file__, run_name="__main__")
    return ended.value.code


def test_the_command_prints_its_table_and_its_exit_status_is_the_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small: Path
) -> None:
    monkeypatch.setitem(SHAPES, "pets", SMALL)
    monkeypatch.setattr(write_checkpoint, "__defaults__", (32, 0))
    assert run(monkeypatch, "--sets", "pets", "--kinds", "both") == 0
    shown = capsys.readouterr()
    assert "pets" in shown.out and "5 figures of 1 sets" in shown.out
    monkeypatch.setattr(evaluation, "average_precisions", without_the_trapezoid)
    assert run(monkeypatch, "--sets", "pets", "--kinds", "both") == 1
    assert "wrong: pets by both: more than 1e-09 off" in capsys.readouterr().err
    assert run(monkeypatch, "--sets", "birds") == 2
    assert "error: there is no set 'birds': --sets takes imagenet, dtd" in capsys.readouterr().err
    assert not list(small.iterdir())


def test_a_disk_that_is_too_small_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Path
) -> None:
    monkeypatch.setattr(authors, "SPARE", 10**18)
    with pytest.raises(EidolonError, match="set TMPDIR to a larger disk"):
        checked(tmp_path)
    assert not list(small.iterdir())
