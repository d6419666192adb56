"""The gate lets a better or equal version pass, and stops a worse one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gate import Spread, passes
from components import config
from components.lifecycle.gate import (
    KINDS,
    Deciding,
    Decision,
    Floats,
    Precisions,
    Rival,
    decide,
)
from tests.toy import ROOT

SEEN, NEW = 60, 20
PARAMS = config.load(ROOT / "profiles" / "embedded.yaml")
MARGIN, SLICE = PARAMS.gate.margin, PARAMS.gate.slice_margin
DECIDING = Deciding(np.arange(SEEN + NEW) >= SEEN, np.zeros(SEEN + NEW, dtype=bool))


def rules(**changes: Any) -> config.Params:
    """The parameters with few resamples, and ``changes`` to the sections gate and evaluate."""
    sections = {"evaluate": {"bootstrap": 200}} | changes
    update = {
        name: getattr(PARAMS, name).model_copy(update=values) for name, values in sections.items()
    }
    return PARAMS.model_copy(update=update)


def version(better: Floats | float = 0.0, *, spread: float = 0.0, seed: int = 0) -> Precisions:
    """A version with average precisions about 0.8, of 0.6 by text alone."""
    noise = spread * np.random.default_rng(seed).normal(size=(SEEN + NEW, len(KINDS)))
    for group in (DECIDING.new, ~DECIDING.new):
        noise[group] -= noise[group].mean(axis=0)
    text = np.full(noise.shape, 0.6)
    return Precisions(text + 0.2 + noise + better, text)


def judged(
    challenger: Precisions,
    champion: Precisions | None,
    best: Precisions | None = None,
    deciding: Deciding = DECIDING,
    **changes: Any,
) -> Decision:
    rivals = [
        None if one is None else Rival(name, one)
        for name, one in (("version 2, the champion", champion), ("version 1, the best", best))
    ]
    return decide(deciding, challenger, *rivals, rules(**changes))


def on(rows: np.ndarray, column: int | None, by: float) -> Floats:
    """``by`` for the categories ``rows``, for one kind of queries or for both."""
    found = np.zeros((SEEN + NEW, len(KINDS)))
    found[rows, slice(None) if column is None else column] = by
    return found


def test_queries_by_description_are_slices_of_their_own() -> None:
    """They block what is worse at them. What a version cannot answer is not compared."""
    same, by = version(), np.full(SEEN + NEW, 0.8)
    by[::3] = np.nan  # these categories have no description
    good = Precisions(same.fused, same.text, {"description": by, "both": by})
    bad = Precisions(same.fused, same.text, {"description": by - 0.05, "both": by})
    assert judged(good, good).passed
    refused = judged(bad, good)
    assert not refused.passed and "in the slice “by description”" in refused.reason
    names = [part.name for part in refused.comparisons[0].slices]
    assert names[-2:] == ["by description", "by both"]
    assert refused.comparisons[0].slices[-1].categories == np.isfinite(by).sum()
    assert judged(bad, same).passed and judged(same, good).passed


@given(spread=st.floats(0, 0.1), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_the_same_version_passes_whatever_it_scores(spread: float, seed: int) -> None:
    """So a gallery that grew blocks nothing, and neither does a harder one."""
    same = version(spread=spread, seed=seed)
    decision = judged(same, same, same)
    assert decision.passed and decision.reason.startswith("no worse than version 2, the champion")


@given(loss=st.floats(MARGIN, 0.15), seed=st.integers(0, 99), spread=st.floats(0, 0.02))
@settings(max_examples=25)
def test_a_loss_of_the_margin_never_passes(loss: float, seed: int, spread: float) -> None:
    decision = judged(version(-loss, spread=spread, seed=seed), version())
    assert not decision.passed
    assert f"a loss of {MARGIN:g} cannot be ruled out" in decision.reason


@given(gain=st.floats(0.001, 0.2), seed=st.integers(0, 99), spread=st.floats(0, 0.002))
@settings(max_examples=25)
def test_a_better_version_passes_and_leads(gain: float, seed: int, spread: float) -> None:
    decision = judged(version(gain, spread=spread, seed=seed), version())
    assert decision.passed and decision.leads


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_two_points_are_told_apart_in_simulation(factor: float) -> None:
    """However wide two trainings of equal versions are apart in a category."""
    moved = version(spread=0.01).fused - version().fused
    spread = Spread(version(), moved, DECIDING.new)
    assert passes(spread, -0.02, rules(), 60, factor) <= 0.05
    assert passes(spread, 0.02, rules(), 60, factor) >= 0.9


def test_the_reason_says_better_worse_or_not_shown() -> None:
    assert judged(version(0.01), version()).reason.startswith("better than version 2, the champion")
    assert judged(version(-0.01), version()).reason.startswith("worse than version 2, the champion")
    unclear = judged(version(spread=0.1), version())
    assert unclear.reason.startswith("not shown to be as good as version 2, the champion")
    assert "more categories" in unclear.reason and not unclear.passed


def test_the_four_combinations_of_slices_count_the_same() -> None:
    """Though there are three times as many seen categories as new ones."""
    for rows in (DECIDING.new, ~DECIDING.new):
        for column in range(len(KINDS)):
            one = judged(version(on(rows, column, 0.04)), version()).comparisons[0]
            assert one.overall.mean == pytest.approx(0.01)


@pytest.mark.parametrize("name", ["seen", "new", *KINDS])
def test_what_is_gained_in_one_slice_does_not_excuse_a_loss_in_another(name: str) -> None:
    rows = {"seen": ~DECIDING.new, "new": DECIDING.new}.get(name, slice(None))
    column = KINDS.index(name) if name in KINDS else None
    lost = on(np.arange(SEEN + NEW)[rows], column, -2 * SLICE - 0.1)
    decision = judged(version(0.1 + lost), version())
    assert not decision.passed
    assert f"worse than version 2, the champion in the slice “{name}”" in decision.reason
    assert decision.comparisons[0].overall.outcome in ("better", "no worse")
    assert judged(version(0.1 + lost), version(), gate={"slice_margin": 0.5}).passed


def test_a_slice_that_is_too_wide_to_tell_does_not_decide() -> None:
    ingested = np.arange(SEEN + NEW) % 7 == 0
    noise = np.zeros((SEEN + NEW, 2))
    noise[ingested] = np.where(np.arange(ingested.sum()) % 2, 0.1, -0.1)[:, None]
    deciding = replace(DECIDING, ingested=ingested)
    decision = judged(version(noise), version(), deciding=deciding, gate={"margin": 0.05})
    parts = {part.name: part for part in decision.comparisons[0].slices}
    assert parts["with ingested pictures"].outcome == "inconclusive"
    assert parts["with ingested pictures"].categories == ingested.sum()
    assert parts["without ingested pictures"].outcome == "no worse"
    assert decision.passed
    worse = judged(
        version(noise - 0.2 * ingested[:, None]),
        version(),
        deciding=deciding,
        gate={"margin": 0.5},
    )
    assert not worse.passed
    assert any("“with ingested pictures”" in said for said in worse.objections)


def test_a_slice_of_too_few_categories_is_shown_and_does_not_decide() -> None:
    ingested = np.arange(SEEN + NEW) < 3
    lost = on(np.flatnonzero(ingested), None, -0.2)
    deciding = replace(DECIDING, ingested=ingested)
    decision = judged(version(0.02 + lost), version(), deciding=deciding)
    part = decision.comparisons[0].slices[-1]
    assert (part.name, part.outcome, part.low) == ("with ingested pictures", "too few", None)
    assert part.mean == pytest.approx(-0.18)
    assert decision.passed


def test_without_ingested_pictures_there_is_no_slice_by_source() -> None:
    names = [part.name for part in judged(version(), version()).comparisons[0].slices]
    assert names == ["seen", "new", *KINDS]


def test_margins_do_not_add_up() -> None:
    """Each is within the margin of the one before, but the third is not of the first."""
    versions = [version(-0.6 * MARGIN * step) for step in range(3)]
    assert judged(versions[1], versions[0]).passed
    assert judged(versions[2], versions[1]).passed
    decision = judged(versions[2], versions[1], versions[0])
    assert not decision.passed
    assert decision.reason.startswith("worse than version 1, the best")


def test_a_version_that_beats_the_champion_alone_does_not_lead() -> None:
    decision = judged(version(0.002), version(), version(0.004))
    assert decision.passed and not decision.leads


@pytest.mark.parametrize("champion", [None, version()])
def test_one_that_does_not_beat_text_alone_is_refused(champion: Precisions | None) -> None:
    good = version(0.02)
    for text in (good.fused, good.fused + 0.05):
        decision = judged(Precisions(good.fused, text), champion)
        assert not decision.passed
        assert decision.reason.startswith("not better than text alone on new categories")
    assert judged(Precisions(good.fused, good.fused - 0.01), champion).passed
    raised = judged(Precisions(good.fused, good.fused - 0.01), champion, gate={"min_gain": 0.02})
    assert not raised.passed


def test_the_first_champion_need_only_beat_text_alone_on_new_categories() -> None:
    seen_alone = on(~DECIDING.new, None, -0.5)
    decision = judged(version(seen_alone), None)
    assert decision.passed and decision.leads
    assert decision.reason.startswith("first champion: better than text alone on new categories")


@pytest.mark.parametrize("champion", [None, version()])
def test_nothing_is_concluded_from_too_few_categories(champion: Precisions | None) -> None:
    decision = judged(version(0.1), champion, evaluate={"min_categories": NEW + 1})
    assert not decision.passed
    expected = f"so few new categories: {NEW}, and an interval needs {NEW + 1} (evaluate.min_cat"
    assert expected in decision.reason
    assert "nan" not in str(decision.gain)


def test_too_few_seen_categories_stop_a_comparison_but_no_first_champion() -> None:
    few = np.arange(SEEN + NEW) >= SEEN - 3
    some = Deciding(DECIDING.new[few], DECIDING.ingested[few])
    one = Precisions(version().fused[few], version().text[few])
    assert judged(one, None, deciding=some).passed
    assert "so few seen categories: 3" in judged(one, one, deciding=some).reason


def test_all_reasons_are_kept() -> None:
    decision = judged(version(-0.3), version(), version())
    assert len(decision.objections) > 5
    assert decision.reason == decision.objections[0]


def test_a_verdict_is_the_same_each_time() -> None:
    one, other = (judged(version(0.001, spread=0.01, seed=4), version()) for _ in range(2))
    assert one == other
