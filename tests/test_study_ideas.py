"""The study's ideas and its ceiling on planted worlds, where it is known which one must help."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components import config
from components.vectors import Array, normalized
from study import banks, bases, ceiling, defaults, gate, methods, queries, report, spaces
from study.__main__ import maps
from study.bases import Base, Idea
from study.figures import REAL, TEXT, Figures
from study.ranking import (
    fused,
    fusing,
    gallery_pictures,
    mean_of,
    remembered,
    training_pictures,
    validation_map,
    weighted_mean,
)
from study.world import COUNTS, STEPS, World
from tests import studying
from tests.planted import DIM, IMAGINED, SPLITS

pytestmark = pytest.mark.numeric

SIMPLE = Base(mean_of, 0.0)


@pytest.fixture
def world() -> World:
    return studying.world()


def unseen(world: World, idea: Idea, base: Base = SIMPLE) -> float:
    return maps(world, idea(world, base))["unseen"]


def with_vision(world: World, change: Callable[[Array], Array], imagined: Array) -> World:
    """``world`` whose real pictures are changed, with ``imagined`` pictures."""
    features = replace(
        world.features,
        imagined=imagined,
        gallery_vision=change(world.features.gallery_vision),
        training_vision=change(world.features.training_vision),
    )
    return replace(world, features=features)


def test_a_gate_helps_where_each_query_has_one_useless_stream() -> None:
    """Every second category has noise for pictures, which do not agree, and the others for text."""
    world = studying.world(("train",) * 20 + ("validation",) * 14 + ("unseen",) * 14)
    rng = np.random.default_rng(3)
    imagined, text = world.features.imagined.copy(), world.features.text.copy()
    for vectors in (imagined[::2], text[1::2]):
        vectors[:] = normalized(rng.normal(size=vectors.shape).astype(np.float32))
    partly = replace(world, features=replace(world.features, imagined=imagined, text=text))
    features, image = partly.features, weighted_mean(partly)
    signals = gate.signals_of(partly, features.text, image)
    opened = signals(gallery_pictures(features)) @ gate.fitted(
        partly, features.text, image, signals
    )
    useless, useful = (opened[features.rows("unseen")[first::2]] for first in (0, 1))
    assert np.median(useless) < -1
    assert np.median(useful) > 0
    fixed, gated, ideal = (
        validation_map(partly, idea(partly, SIMPLE))
        for idea in (bases.nothing, gate.per_query, gate.by_labels)
    )
    assert fixed + 0.05 < gated <= ideal


def test_the_gate_sees_signals_that_are_standard_over_training_categories(world: World) -> None:
    features = world.features
    signals = gate.signals_of(world, features.text, weighted_mean(world))
    found = signals(training_pictures(features))[features.rows("train")]
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-3)


def test_taking_the_means_off_undoes_a_planted_gap(world: World) -> None:
    away, other = np.random.default_rng(1).normal(size=(2, DIM)).astype(np.float32)
    apart = with_vision(
        world,
        lambda real: normalized(real + 2 * normalized(other)),
        normalized(world.features.imagined + 2 * normalized(away)),
    )
    assert unseen(apart, spaces.means_off) > unseen(apart, bases.nothing) + 0.01


def test_the_projection_ignores_a_planted_invention(world: World) -> None:
    """All pictures vary in two directions, imagined ones most."""
    rng = np.random.default_rng(4)
    invented = np.linalg.qr(rng.normal(size=(DIM, 2)))[0].T.astype(np.float32)

    def odd(vectors: Array, much: float) -> Array:
        at = rng.normal(size=(*vectors.shape[:-1], 2)).astype(np.float32)
        return normalized(vectors + much * at @ invented)

    strange = with_vision(world, lambda real: odd(real, 0.7), odd(world.features.imagined, 1.5))
    assert unseen(strange, spaces.projected) > unseen(strange, bases.nothing) + 0.02
    scatter = spaces.invention(strange.features)
    away = spaces.ignoring(scatter, 10.0)
    kept = np.linalg.norm(invented @ away, axis=1)
    assert kept.max() < np.trace(away) / DIM
    np.testing.assert_allclose(spaces.ignoring(scatter, 0.0), np.eye(DIM), atol=1e-6)


def test_reciprocal_ranks_of_both_streams_beat_each(world: World) -> None:
    joined = unseen(world, queries.rank_fusion)
    assert joined > maps(world, methods.ALL["text alone"](world))["unseen"] + 0.02
    on = gallery_pictures(world.features)
    scores = queries.rank_fusion(world, SIMPLE)(on)
    assert scores.shape == (len(SPLITS), len(on.labels))
    assert 0 < scores.min() < scores.max() <= 1 / (1 + min(queries.CONSTANTS))


def test_pictures_that_disagree_are_left_out(world: World) -> None:
    """One picture of each category shows another one."""
    imagined = world.features.imagined.copy()
    imagined[:, 0] = np.roll(imagined[:, 0], 5, 0)
    wrong = replace(world, features=replace(world.features, imagined=imagined))
    found = unseen(wrong, queries.pictures_by_agreement)
    assert found > unseen(wrong, bases.nothing) + 0.01


def test_prompts_are_compared_by_the_pictures_that_they_gave(world: World) -> None:
    worse = replace(world, varied=np.roll(world.varied, 1, axis=0))
    assert unseen(worse, queries.varied) < unseen(world, queries.varied) - 0.05
    assert unseen(worse, queries.unvaried) == pytest.approx(unseen(world, bases.nothing))


def test_the_ceiling_asks_with_as_many_photos_as_there_are_pictures(world: World) -> None:
    clean = replace(world, photos=np.concatenate([world.studio, world.photos], axis=1))
    for way in ceiling.WAYS.values():
        photos, studio, many = (
            maps(clean, way(clean, asked(clean)))["unseen"]
            for asked in (ceiling.photos, ceiling.studio, ceiling.many)
        )
        assert photos == studio != many


def test_the_default_is_among_the_ways_to_ask(world: World) -> None:
    """The network is fitted to the imagined pictures, whichever pictures ask."""
    given = ceiling.METHODS["imagined, network, its own λ"](world)
    on = gallery_pictures(world.features)
    np.testing.assert_array_equal(given(on), defaults.default(world)(on))


def test_a_category_without_real_pictures_has_none(world: World) -> None:
    nothing = world.studio.copy()
    nothing[3] = 0
    assert ceiling.given(world, nothing).features.accepted.sum(axis=1).tolist() == [
        0 if row == 3 else IMAGINED for row in range(len(SPLITS))
    ]


def test_hubness_is_measured_once_for_the_same_pictures(world: World) -> None:
    features, image = world.features, weighted_mean(world)
    on, counted = gallery_pictures(features), []
    once = remembered(lambda given: counted.append(given) or len(counted))
    assert [once(on), once(replace(on)), once(training_pictures(features)), once(on)] == [
        1,
        1,
        2,
        3,
    ]
    at = fusing(features.text, image, 0.5)
    for lam in (0.2, 0.7):
        np.testing.assert_array_equal(at(lam)(on), fused(features.text, image, lam, 0.5)(on))
    column = np.full((len(image), 1), 0.2, dtype=np.float32)
    np.testing.assert_allclose(at(column)(on), at(0.2)(on), atol=1e-6)


def made(rng: np.random.Generator) -> pd.DataFrame:
    """A table as ``compare`` makes it, with figures that are drawn."""
    shifted = [f"{name}{methods.SHIFTED}" for name in methods.CONTROLLED]
    names = [*methods.ALL, *shifted, *banks.BANKS]
    columns = (
        *("seen", "unseen", "unseen_only", "harmonic", "chosen_by", "chosen_alone"),
        *("covering", "covering_seen", "covering_truth", "difference"),
    )
    rows = [(seed, name, *rng.uniform(size=len(columns))) for seed in (0, 1) for name in names]
    return pd.DataFrame(rows, columns=["seed", "method", *columns])


def test_the_page_has_a_row_for_each_method_and_whole_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = pd.DataFrame(
        [
            (seed, what, value, rng.uniform(0.7, 1))
            for seed in (0, 1)
            for what, values in (("pictures", COUNTS), ("steps", STEPS))
            for value in values
        ],
        columns=["seed", "what", "value", "unseen"],
    )
    params = config.load(Path(__file__).parents[1] / "profiles" / "embedded.yaml")
    with chdir(tmp_path):
        report.IMAGES.mkdir(parents=True)
        report.write(params, made(rng), points, dict.fromkeys(STEPS, 0.01))
        page = report.PAGE.read_text()
    for block in page.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block
    added = [name for name in methods.ON_DEFAULT if name != methods.CHOSEN_AGAIN]
    for name in (*methods.BASELINES, *methods.IDEAS, *methods.WITHOUT, *added, *banks.BANKS):
        assert f"| {name} |" in page or f"| **{name}** |" in page


def test_the_way_goes_from_text_to_real_photos() -> None:
    rows = [
        *((seed, TEXT, 0.5) for seed in (0, 1)),
        *((seed, REAL, 0.9) for seed in (0, 1)),
        *((seed, "half", 0.7) for seed in (0, 1)),
    ]
    figures = Figures(pd.DataFrame(rows, columns=["seed", "method", "unseen"]))
    assert figures.share("half")[0] == pytest.approx(0.5)
    assert figures.share(TEXT)[0] == 0
    assert figures.share(REAL)[0] == pytest.approx(1)
