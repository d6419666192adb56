"""What the shipped zoo must be able to do: on new combinations, imagining beats text alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from components import config
from components.datasets.emblems import draw, emblems, splits
from components.imagining.generator import Generator
from components.imagining.seeds import seed_of
from components.index.gallery import Gallery
from components.learning.metrics import mean_average_precision
from components.models.encoders import ClipEncoder, VisionEncoder
from tests.toy import ROOT

pytestmark = pytest.mark.numeric

PER_CATEGORY, IMAGINED, WEIGHT = 5, 3, 0.6


@dataclass(frozen=True)
class World:
    """The 80 unseen categories: their gallery, and their text and image vectors."""

    gallery: Gallery
    text: np.ndarray
    image: np.ndarray
    positive: np.ndarray

    def fused_map(self, text: np.ndarray, image: np.ndarray, weight: float) -> float:
        scores = self.gallery.score(text, image, weight)
        return mean_average_precision(scores.fused, self.positive)


@pytest.fixture(scope="module")
def world() -> World:
    params = config.load(ROOT / "profiles" / "embedded.yaml")
    encoders = params.encoders
    clip, vision = (
        ClipEncoder(str(ROOT / encoders.clip)),
        VisionEncoder(str(ROOT / encoders.vision)),
    )
    unseen = [c for c in emblems() if splits()[c] == "unseen"]
    photos = [
        draw(c, seed=99, subset="behaviour", index=i) for c in unseen for i in range(PER_CATEGORY)
    ]
    generator = Generator(
        params.generator.model_copy(update={"model": str(ROOT / params.generator.model)})
    )
    prompts = [params.generator.prompt_for(c.name) for c in unseen for _ in range(IMAGINED)]
    seeds = [seed_of(prompt, i % IMAGINED, 0) for i, prompt in enumerate(prompts)]
    drawn = vision.images(generator.draw(prompts, seeds)).reshape(len(unseen), IMAGINED, -1).mean(1)
    return World(
        gallery=Gallery(clip.images(photos), vision.images(photos)),
        text=clip.describe([c.name for c in unseen], encoders.text_templates),
        image=drawn / np.linalg.norm(drawn, axis=1, keepdims=True),
        positive=np.repeat(np.eye(len(unseen), dtype=bool), PER_CATEGORY, axis=1),
    )


def test_the_text_baseline_is_a_serious_one(world: World) -> None:
    assert world.fused_map(world.text, world.image, 0.0) > 0.6


def test_fusion_beats_text_and_image_alone(world: World) -> None:
    fused = world.fused_map(world.text, world.image, WEIGHT)
    assert fused > world.fused_map(world.text, world.image, 0.0) + 0.06
    assert fused > world.fused_map(world.text, world.image, 1.0) + 0.01


def test_pictures_of_other_categories_do_not_help(world: World) -> None:
    """Relabelled pictures must lose: it is what they show that helps."""
    fused = world.fused_map(world.text, world.image, WEIGHT)
    relabelled = world.fused_map(world.text, np.roll(world.image, 17, axis=0), WEIGHT)
    assert relabelled < fused - 0.02


def test_categories_without_pictures_fall_back_to_text(world: World) -> None:
    nothing = np.zeros_like(world.image)
    assert world.fused_map(world.text, nothing, 0.9) == world.fused_map(
        world.text, world.image, 0.0
    )
