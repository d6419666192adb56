"""`eidolon tune` measures points, finds the Pareto front, and chooses within a budget."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from components import config
from components.cli import tuning
from components.config import changing
from components.errors import EidolonError
from components.imagining import generator
from components.learning.intervals import bootstrap
from components.paths import AGGREGATOR, FEATURES, TUNING
from components.tuning import timing
from components.tuning.choice import Budget, choose, sentence
from components.tuning.front import on_front
from components.tuning.grid import asked
from components.tuning.points import Cost, Point, frame
from tests.toy import ROOT

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30)
RNG = np.random.default_rng(0)
QUERIES = RNG.uniform(0.6, 1.0, 40)  # average precisions of 40 categories


def point(count: int, lost: float = 0.0, noise: float = 0.0, accepted: float = 1.0) -> Point:
    """A point that takes a second for each picture of a query, and two for one of a category. It
    loses about ``lost`` mAP."""
    values = QUERIES - lost + np.random.default_rng(count).normal(0, noise, 40) * (noise > 0)
    return Point(
        count=count,
        steps=8,
        guidance=3.0,
        fusion_weight=0.5,
        map=bootstrap(values, samples=500, seed=0, least=10),
        accepted=accepted,
        redrawn=0.0,
        cost=Cost(float(count), 2.0 * count, 100 * count, 1000 * count),
    )


def params(place: Path) -> config.Params:
    """The shipped params.yaml, in ``place``."""
    (place / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return config.load(place / "params.yaml")


STRICT = Budget(0.005)


@given(PAIRS)
def test_the_front_is_what_no_other_point_beats(pairs: list[tuple[int, int]]) -> None:
    quality, cost = np.array(pairs, dtype=np.float64).T
    found = on_front(quality, cost)
    for i, (good, dear) in enumerate(pairs):
        beaten = any(q >= good and c <= dear and (q, c) != (good, dear) for q, c in pairs)
        assert found[i] == (not beaten)


@given(PAIRS)
def test_every_point_is_on_the_front_or_beaten_by_one_that_is(pairs: list[tuple[int, int]]) -> None:
    quality, cost = np.array(pairs, dtype=np.float64).T
    front = on_front(quality, cost)
    for good, dear in pairs:
        assert ((quality[front] >= good) & (cost[front] <= dear)).any()


@given(PAIRS, st.randoms())
def test_the_front_does_not_depend_on_the_order(
    pairs: list[tuple[int, int]], random: st.randoms
) -> None:
    def front(points: list[tuple[int, int]]) -> set[tuple[int, int]]:
        quality, cost = np.array(points, dtype=np.float64).T
        return {p for p, on in zip(points, on_front(quality, cost), strict=True) if on}

    mixed = list(pairs)
    random.shuffle(mixed)
    assert front(pairs) == front(mixed)


def test_the_table_marks_both_fronts_and_has_the_fastest_first() -> None:
    table = frame([point(4), point(2, lost=0.1), point(3, lost=0.2)])
    assert table["count"].tolist() == [2, 3, 4]
    assert table["front_seconds"].tolist() == [True, False, True]
    assert (table["low"] < table["map"]).all() and (table["map"] < table["high"]).all()


def test_the_cheapest_that_is_shown_to_lose_less_than_the_margin_is_chosen() -> None:
    points = [point(4, lost=0.002, noise=0.05), point(6, lost=0.002), point(8)]
    found = choose(points, STRICT, 0.9)
    assert (found.point.count, found.best.count) == (6, 8)
    assert found.most_lost is not None and found.most_lost < 0.005
    said = sentence(found, STRICT)
    assert "shown to be less than 0.005 below" in said and "it may lose up to 0.0" in said
    assert choose(points, Budget(0.5), 0.9).point.count == 4


@pytest.mark.parametrize("budget", [Budget(0.01, 4), Budget(0.01, None, 9), Budget(0.01, 4, 100)])
def test_the_budget_bounds_what_is_compared(budget: Budget) -> None:
    found = choose([point(2, lost=0.1), point(4, lost=0.05), point(8)], budget, 0.9)
    assert found.point is found.best and found.point.count == 4
    assert f"the best mAP within {budget.words}" in sentence(found, budget)


def test_with_too_few_categories_the_best_is_chosen() -> None:
    def of(count: int, value: float) -> Point:
        few = bootstrap(np.full(3, value), samples=100, seed=0, least=10)
        return Point(count, 8, 3.0, 0.5, few, 1.0, 0.0, point(count).cost)

    found = choose([of(2, 0.8), of(4, 0.9), of(8, 0.9)], STRICT, 0.9)
    assert (found.point.count, found.most_lost) == (4, None)
    assert "too few validation categories" in sentence(found, STRICT)


def test_a_point_that_validation_would_stop_is_not_chosen() -> None:
    points = [point(2, accepted=0.5), point(4)]
    assert choose(points, STRICT, 0.9).point.count == 4
    with pytest.raises(EidolonError, match="accepts at most 50% of the pictures"):
        choose(points[:1], STRICT, 0.9)


def test_a_budget_that_no_point_meets_says_the_least_cost() -> None:
    with pytest.raises(EidolonError, match=r"within 1 s a query: the cheapest, K = 2.* takes 2 s"):
        choose([point(2), point(4)], Budget(0.01, 1), 0.9)


@pytest.mark.parametrize(
    ("value", "option"),
    [(0.0, "seconds"), (-1.0, "category_seconds"), (float("nan"), "seconds"), (1.1, "margin")],
)
def test_an_absurd_budget_is_refused(value: float, option: str) -> None:
    with pytest.raises(EidolonError, match=f"--{option.replace('_', '-')} .* must be more than 0"):
        Budget(**{"margin": 0.01, option: value})


def test_the_grid_is_around_params_yaml_by_default(tmp_path: Path) -> None:
    here = params(tmp_path)
    grid = asked(here)
    assert (grid.counts, grid.steps, grid.guidance) == ((2, 3, 6, 12), (2, 4, 8, 16), (0, 3, 6))
    assert {s.images_per_category for s in grid.settings(here.generator)} == {12}
    assert len(grid.settings(here.generator)) == 12
    assert asked(here, "8,4,4", "2", "0").counts == (4, 8)


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        (("0,4", None, None), "--counts 0 must be greater than or equal to 1"),
        (("65", None, None), "--counts 65 must be less than or equal to 64"),
        (("1", None, None), "--counts 1 is less than validate.min_accepted 2"),
        ((None, "2;4", None), "--steps '2;4' is no list of numbers: write it like 2,4,8"),
        ((None, "", None), "--steps '' is no list"),
        ((None, None, "nan"), "--guidance nan must be"),
        ((None, None, "51"), "--guidance 51 must be less than or equal to 50"),
        (("2,3,4,5,6,7,8,9", ",".join(map(str, range(1, 99))), None), "2352 points are more"),
    ],
)
def test_an_absurd_list_is_refused(
    tmp_path: Path, lists: tuple[str | None, str | None, str | None], why: str
) -> None:
    with pytest.raises(EidolonError, match=why):
        asked(params(tmp_path), *lists)


def test_the_least_time_of_all_rounds_counts() -> None:
    now, calls = 0.0, {"fast": 0, "slow": 0}

    def work(name: str, *seconds: float) -> None:
        nonlocal now
        now += seconds[min(calls[name], len(seconds) - 1)]
        calls[name] += 1

    works = {"fast": lambda: work("fast", 9, 3, 1, 2), "slow": lambda: work("slow", 8, 7)}
    assert timing.best(works, "time", lambda: now) == {"fast": 1, "slow": 7}
    assert set(calls.values()) == {timing.ROUNDS}
    calls.update(fast=0, slow=0)
    very = {"slow": lambda: work("slow", 900, 800, 1)}
    assert timing.best(very, "time", lambda: now) == {"slow": 800}  # two rounds are enough


def test_changed_values_leave_the_rest_of_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    file.write_text(text.replace("\n  steps: 8\n", "\n  steps:   8  # mine, not 16\n"))
    changing.change({"generator.steps": 4, "generator.guidance": 1.5}, file)
    assert file.read_text() == text.replace(
        "\n  steps: 8\n", "\n  steps:   4  # mine, not 16\n"
    ).replace("\n  guidance: 3.0\n", "\n  guidance: 1.5\n")


def test_values_that_do_not_fit_or_stand_elsewhere_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    file.write_text(text)
    with pytest.raises(EidolonError, match=r"min_accepted 2 is more than .*_category 1"):
        changing.change({"generator.images_per_category": 1}, file)
    assert file.read_text() == text
    shared = text.replace("  steps: 8\n", "  steps: *n\n").replace(
        "  max_hamming: 10\n", "  max_hamming: &n 10\n"
    )
    file.write_text(shared)
    with pytest.raises(EidolonError, match=r"set generator\.steps: 5 in it by hand"):
        changing.change({"generator.steps": 5}, file)
    assert file.read_text() == shared


def run(*words: str) -> str:
    """What `eidolon tune` prints. Raises what it raises."""
    done = CliRunner().invoke(tuning.verbs, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def toy_project(toy_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy project, with what is timed cut short."""
    monkeypatch.setattr(timing, "ROUNDS", 1)
    monkeypatch.setenv("COLUMNS", "100")
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["generator"]["batch"] = 2
    Path("params.yaml").write_text(yaml.safe_dump(values))
    return toy_copy


LISTS = ("--counts", "1,2", "--steps", "1,2", "--guidance", "0")


def test_the_toy_world_is_tuned_and_drawn_once(
    toy_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path("params.yaml").read_text()
    said = run(*LISTS, "--all")
    table = pd.read_csv(TUNING / "points.csv")
    assert len(table) == 4 and table["front_seconds"].any() and table["front_bytes"].any()
    assert (table[["query_seconds", "category_seconds", "query_bytes"]] > 0).all().all()
    kept = table.sort_values("count").groupby("steps")["category_bytes"].diff().dropna()
    assert (kept > 4 * 96).all()  # a further picture, and its vector of 96 numbers
    assert (TUNING / "pareto.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((TUNING / "tune.json").read_text())
    assert found["points"] == 4 and found["why"] in said.replace("\n", " ")
    assert "params.yaml is unchanged: `--write` would set generator.images_per_category" in said
    assert Path("params.yaml").read_text() == before

    def never(*_: object) -> None:
        raise AssertionError("a picture was drawn twice")

    monkeypatch.setattr(generator, "Generator", never)  # timing has its own
    Path("params.yaml").write_text(f"# mine\n{before}")
    said = run(*LISTS, "--write")
    assert "The next `train` chooses λ" in said
    after = Path("params.yaml").read_text()
    assert after.startswith("# mine\n")
    now, then = yaml.safe_load(after), yaml.safe_load(before)
    chosen = json.loads((TUNING / "tune.json").read_text())["chosen"]
    for name in ("images_per_category", "steps", "guidance"):
        then["generator"][name] = chosen[f"generator.{name}"]
    assert now == then


def test_a_budget_that_cannot_be_met_writes_nothing(toy_project: Path) -> None:
    with pytest.raises(EidolonError, match="no point is within 1e-09 s a query: the cheapest, K"):
        run(*LISTS, "--seconds", "1e-9", "--write")
    assert not TUNING.exists()


def test_what_is_missing_is_named(toy_project: Path) -> None:
    (AGGREGATOR / "aggregator.safetensors").unlink()
    with pytest.raises(EidolonError, match=r"aggregator\.safetensors is missing: run `dvc repro"):
        run(*LISTS)
    (FEATURES / "categories.csv").unlink()
    with pytest.raises(EidolonError, match="run `dvc repro embed`"):
        run(*LISTS)


def test_other_encoders_than_those_of_the_features_are_refused(toy_project: Path) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["encoders"]["vision"] = str(ROOT / "zoo/models/dino")
    values["models"] = "/"
    Path("params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(EidolonError, match="is not of the encoders and the dataset that are here"):
        run(*LISTS)
