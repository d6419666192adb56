"""The study's methods on a planted world, where it is known which idea must help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from components.datasets import emblems
from components.index import build
from components.index.gallery import Gallery
from components.learning import aggregator, analysis, train
from components.vectors import Array, normalized
from study import banks, baselines, covering, defaults, ideas, methods, networks, sweeps
from study.__main__ import compare, maps
from study.figures import interval
from study.ranking import (
    Pictures,
    Ranking,
    gallery_pictures,
    linear,
    training_pictures,
    weighted_mean,
)
from study.world import World
from tests import studying
from tests.planted import DIM, SPLITS
from tests.rounding import of_dot

pytestmark = pytest.mark.numeric


@pytest.fixture
def world() -> World:
    return studying.world()


def unseen(world: World, method: Callable[[World], Ranking]) -> float:
    return maps(world, method(world))["unseen"]


def test_a_linear_ranking_is_the_galleries_own_score(world: World) -> None:
    features, image = world.features, weighted_mean(world)
    gallery = Gallery(features.gallery_clip, features.gallery_vision)
    on = gallery_pictures(features)
    np.testing.assert_allclose(
        linear(features.text, image, 0.3)(on),
        gallery.score(features.text, image, 0.3).fused,
        rtol=0,
        atol=of_dot(2 * DIM),
    )


def test_fusing_two_independent_streams_beats_each(world: World) -> None:
    fused = unseen(world, baselines.fixed_best)
    assert fused > unseen(world, baselines.text_alone) + 0.02
    assert fused > unseen(world, baselines.mean_image) + 0.02


def test_subtracting_planted_hubness_helps(world: World) -> None:
    """A direction that queries and some of the pictures share puts those pictures first."""
    rng = np.random.default_rng(2)
    common = normalized(rng.normal(size=DIM).astype(np.float32))

    def drawn_to(rows: np.ndarray, least: float, most: float) -> np.ndarray:
        pull = rng.uniform(least, most, (*rows.shape[:-1], 1)).astype(np.float32)
        return normalized(rows + pull * common)

    features = world.features
    with_hubs = replace(
        world,
        features=replace(
            features,
            imagined=drawn_to(features.imagined, 1, 1),
            gallery_vision=drawn_to(features.gallery_vision, 0, 2),
            training_vision=drawn_to(features.training_vision, 0, 2),
        ),
    )
    assert unseen(with_hubs, ideas.corrected) > unseen(with_hubs, baselines.fixed_best) + 0.02
    assert unseen(with_hubs, defaults.default) > unseen(with_hubs, defaults.not_corrected) + 0.02


def test_the_default_is_what_the_stages_make(world: World) -> None:
    model, _ = train.fit(world.features, world.train)
    aggregated = aggregator.aggregate(model, world.features)
    gallery = build.build_index(world.features, aggregated, world.hubness)
    frame = analysis.per_category(world.features, gallery, aggregated, model.fusion_weight)
    expected = frame.loc[frame["split"] == "unseen", "fused"].mean()
    # a right and a wrong score differ by at least 6e-5, so rounding cannot swap them
    assert unseen(world, defaults.default) == pytest.approx(expected, abs=1e-6)


def test_trusting_clip_helps_where_pictures_are_wrong(world: World) -> None:
    """Two pictures of each category show another category, and CLIP can see that."""
    imagined, seen = world.features.imagined.copy(), world.imagined_clip.copy()
    imagined[:, :2], seen[:, :2] = np.roll(imagined[:, :2], 5, 0), np.roll(seen[:, :2], 5, 0)
    wrong = replace(world, features=replace(world.features, imagined=imagined), imagined_clip=seen)
    assert unseen(wrong, ideas.trust_clip) > unseen(wrong, baselines.fixed_best) + 0.01
    assert unseen(wrong, ideas.drop_worst) > unseen(wrong, baselines.fixed_best) + 0.01


@pytest.mark.parametrize("name", methods.ALL)
def test_no_choice_looks_at_the_gallery_or_the_unseen(world: World, name: str) -> None:
    """Other gallery pictures and other unseen queries do not change the scores of known queries for
    the same pictures."""
    method = methods.ALL[name]
    known = np.array(SPLITS) != "unseen"
    imagined, text = world.features.imagined.copy(), world.features.text.copy()
    imagined[~known], text[~known] = np.roll(imagined[~known], 1, 0), np.roll(text[~known], 1, 0)
    other = replace(
        world,
        features=replace(
            world.features,
            imagined=imagined,
            text=text,
            gallery_clip=world.features.gallery_clip[::-1],
            gallery_vision=world.features.gallery_vision[::-1],
        ),
        ensemble=text,
        **{
            name: np.where(known[:, None, None], drawn, np.roll(drawn, 1, 0))
            for name in ("varied", "unvaried", "photos", "studio")
            for drawn in [getattr(world, name)]
        },
    )
    on = training_pictures(world.features)
    np.testing.assert_allclose(
        method(world)(on)[known], method(other)(on)[known], rtol=1e-5, atol=1e-5
    )


def test_the_sweeps_use_as_many_pictures_as_they_say(world: World) -> None:
    model = networks.shipped(world)
    found = sweeps.counts(world, model)
    assert set(found) == {1, 4}
    whole = maps(world, networks.aggregated(world, model, world.hubness))["unseen"]
    assert found[4] == pytest.approx(whole, abs=1e-6)
    assert sweeps.steps(world, model) == {8: pytest.approx(whole, abs=1e-6)}


BANKS = [name for name in banks.BANKS if not name.startswith("control")]


@pytest.mark.parametrize("name", BANKS)
def test_no_bank_knows_which_picture_is_of_which_category(world: World, name: str) -> None:
    """With the labels of all pictures shuffled, each picture keeps its hubness."""
    features, bank = world.features, banks.BANKS[name]
    on, queries = gallery_pictures(features), weighted_mean(world)
    dealt = replace(on, labels=np.roll(on.labels, 7))
    np.testing.assert_array_equal(
        bank(world, queries, on.vision, on, 0.5), bank(world, queries, on.vision, dealt, 0.5)
    )


def test_a_bank_of_training_categories_corrects_seen_pictures_more(world: World) -> None:
    """The categories differ in their split alone, so only the bank can make a difference."""
    assert banks.choose(world, banks.training_names).difference > 0.02
    assert abs(banks.choose(world, banks.all_names).difference) < 0.01


def test_the_banks_leave_out_what_they_say(world: World) -> None:
    features = world.features
    on, queries = gallery_pictures(features), weighted_mean(world)
    similar = on.vision @ queries.T
    tau = 0.5 * np.delete(similar, 0, axis=1).std()
    own, best = (
        bank(world, queries, on.vision, on, 0.5)
        for bank in (banks.own_left_out, banks.best_left_out)
    )
    for i, label in enumerate(on.labels[:20]):
        others = np.delete(similar[i], label)
        expected = tau * np.log(np.exp(others / tau).mean())
        assert own[i] == pytest.approx(
            expected, abs=0.02
        )  # τ comes from a slightly different spread
        assert best[i] <= own[i] + 0.02


def test_a_constant_for_seen_pictures_moves_nothing_within_a_group(world: World) -> None:
    ranking = baselines.fixed_best(world)
    shifted = banks.offset(world, ranking)
    one, other = (maps(world, given) for given in (ranking, shifted))
    assert other["unseen_only"] == pytest.approx(one["unseen_only"], abs=1e-6)
    assert other["chosen_by"] >= one["chosen_by"]


def test_the_constant_undoes_a_planted_preference_for_seen_pictures(world: World) -> None:
    ranking, seen = baselines.fixed_best(world), world.features.rows("train")

    def prefers(on: Pictures) -> Array:
        return (ranking(on) + 0.2 * np.isin(on.labels, seen)).astype(np.float32)

    plain, biased, mended = (
        maps(world, given)["unseen"] for given in (ranking, prefers, banks.offset(world, prefers))
    )
    assert biased < plain - 0.02
    assert mended > biased + 0.02


def test_texts_that_cover_categories_are_ranked_and_judged_beside_them(world: World) -> None:
    """The planted categories have names of emblems. A text has the vectors of the first category
    that it covers."""
    kinds = [kind.name for kind in emblems.emblems()[: len(SPLITS)]]
    features = world.features
    renamed = dict(zip(features.categories["category"], kinds, strict=True))
    named = replace(
        features,
        **{
            table: getattr(features, table).assign(
                category=getattr(features, table)["category"].map(renamed)
            )
            for table in ("categories", "gallery", "training")
        },
    )
    texts, many = len(covering.TEXTS), features.imagined.shape[1]
    text = np.zeros((texts, DIM), dtype=np.float32)
    imagined = np.zeros((texts, many, DIM), dtype=np.float32)
    for row, phrase in enumerate(covering.TEXTS):
        colour, shape = phrase.split()
        first = next((i for i, n in enumerate(kinds) if n == f"{colour} plain {shape}"), None)
        if first is not None:
            text[row], imagined[row] = features.text[first], features.imagined[first]
    given = covering.extended(named, text, imagined)
    covered = covering.covers(given)
    assert covered.sum(axis=0).tolist() == [1] * len(kinds) + [0] * texts
    for row, column in np.argwhere(covered):
        colour, _, shape = kinds[column].split()
        assert covering.TEXTS[row] == f"{colour} {shape}"
    extended = replace(world, features=given)
    found = maps(extended, baselines.fixed_best(extended))
    before = maps(world, baselines.fixed_best(world))
    assert {name: found[name] for name in before} == pytest.approx(before, abs=1e-6)
    assert 0 < found["covering"] <= 1
    shown = np.isin(np.array(SPLITS), ["train"])
    assert found["covering_truth"] == pytest.approx(shown.mean())


def test_the_study_has_a_row_for_each_method_bank_and_control(world: World) -> None:
    found = [row["method"] for row in compare(world)]
    shifted = [f"{name}{methods.SHIFTED}" for name in methods.CONTROLLED]
    assert sorted(found) == sorted([*methods.ALL, *shifted, *banks.BANKS])


def test_the_interval_is_student_s_t() -> None:
    mean, half = interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (mean, half) == (3.0, pytest.approx(2.776445 * np.sqrt(2.5 / 5), rel=1e-6))
