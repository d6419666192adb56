"""The study's methods on a planted world, where it is known which idea must help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components import config
from components.retrieval import evaluate, train
from components.retrieval.search import Gallery
from study import methods, report, sweeps
from study.__main__ import maps
from study.methods import Pictures, Ranking, normalised
from study.world import World
from tests import planted
from tests.planted import DIM, SPLITS
from tests.rounding import of_dot

pytestmark = pytest.mark.numeric


@pytest.fixture
def world() -> World:
    features = planted.features()
    clip = features.text  # what CLIP sees in an imagined picture is near its category's text
    seen = planted.noisy(clip, 0.2, planted.IMAGINED, np.random.default_rng(6))
    params = config.load(Path(__file__).parents[1] / "profiles" / "embedded.yaml").train
    return World(
        seed=0,
        train=params.model_copy(update={"epochs": 2, "steps_per_epoch": 3, "batch": 8}),
        features=features,
        imagined_clip=seen.reshape(features.imagined.shape),
        ensemble=features.text,
        by_count={n: features.imagined[20:, :n] for n in (1, 4)},
        by_steps={8: features.imagined[20:]},
    )


def unseen(world: World, method: Callable[[World], Ranking]) -> float:
    return maps(world, method(world))["unseen"]


def test_a_linear_ranking_is_the_galleries_own_score(world: World) -> None:
    features, image = world.features, methods.weighted_mean(world)
    gallery = Gallery(features.gallery_clip, features.gallery_vision)
    on = Pictures(features.gallery_clip, features.gallery_vision)
    np.testing.assert_allclose(
        methods.linear(features.text, image, 0.3)(on),
        gallery.score(features.text, image, 0.3).fused,
        rtol=0,
        atol=of_dot(2 * DIM),
    )


def test_fusing_two_independent_streams_beats_each(world: World) -> None:
    fused = unseen(world, methods.fixed_best)
    assert fused > unseen(world, methods.text_alone) + 0.02
    assert fused > unseen(world, methods.mean_image) + 0.02


def test_taking_off_a_planted_domain_shift_helps(world: World) -> None:
    away = np.random.default_rng(1).normal(size=DIM).astype(np.float32)
    shifted = normalised(world.features.imagined + 2 * normalised(away))
    moved = replace(world, features=replace(world.features, imagined=shifted))
    assert unseen(moved, methods.domain_shift) > unseen(moved, methods.fixed_best) + 0.01


def test_taking_off_planted_hubness_helps(world: World) -> None:
    """A direction that queries and some of the pictures share puts those pictures first."""
    rng = np.random.default_rng(2)
    common = normalised(rng.normal(size=DIM).astype(np.float32))

    def drawn_to(rows: np.ndarray, least: float, most: float) -> np.ndarray:
        pull = rng.uniform(least, most, (*rows.shape[:-1], 1)).astype(np.float32)
        return normalised(rows + pull * common)

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
    assert unseen(with_hubs, methods.hubness_off) > unseen(with_hubs, methods.fixed_best) + 0.02
    assert unseen(with_hubs, methods.default) > unseen(with_hubs, methods.hubness_stays) + 0.02


def test_the_default_is_what_the_stages_make(world: World) -> None:
    model, _ = train.fit(world.features, world.train)
    image = train.aggregate(model, world.features)
    gallery = train.searched(world.features, image, world.train.hubness)
    frame = evaluate.per_category(world.features, gallery, image, model.fusion_weight)
    expected = frame.loc[frame["split"] == "unseen", "fused"].mean()
    # no two scores of which one is right are nearer than 6e-5: rounding exchanges none
    assert unseen(world, methods.default) == pytest.approx(expected, abs=1e-6)


def test_trusting_clip_helps_where_pictures_are_wrong(world: World) -> None:
    """Two pictures of each category show another one, and CLIP sees that."""
    imagined, seen = world.features.imagined.copy(), world.imagined_clip.copy()
    imagined[:, :2], seen[:, :2] = np.roll(imagined[:, :2], 5, 0), np.roll(seen[:, :2], 5, 0)
    wrong = replace(world, features=replace(world.features, imagined=imagined), imagined_clip=seen)
    assert unseen(wrong, methods.trust_clip) > unseen(wrong, methods.fixed_best) + 0.01
    assert unseen(wrong, methods.drop_worst) > unseen(wrong, methods.fixed_best) + 0.01


@pytest.mark.parametrize("name", methods.ALL)
def test_no_choice_looks_at_the_gallery_or_the_unseen(world: World, name: str) -> None:
    """With other gallery pictures and other unseen queries, the same known queries get the same
    scores for the same pictures."""
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
    )
    on = Pictures(world.features.training_clip, world.features.training_vision)
    np.testing.assert_allclose(
        method(world)(on)[known], method(other)(on)[known], rtol=1e-5, atol=1e-5
    )


def test_the_sweeps_use_as_many_pictures_as_they_say(world: World) -> None:
    model = methods.shipped(world)
    found = sweeps.counts(world, model)
    assert set(found) == {1, 4}
    whole = maps(world, methods.aggregated(world, model, world.train.hubness))["unseen"]
    assert found[4] == pytest.approx(whole, abs=1e-6)
    assert sweeps.steps(world, model) == {8: pytest.approx(whole, abs=1e-6)}


def test_the_interval_is_students() -> None:
    mean, half = report.interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert (mean, half) == (3.0, pytest.approx(2.776445 * np.sqrt(2.5 / 5), rel=1e-6))
