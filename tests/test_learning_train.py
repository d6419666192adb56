"""λ may be 0 or 1, and such an aggregator can be saved, loaded and used like any other; what one
training serves, and where it may run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks.training import TOLERANCE
from components import config
from components.features.features import Features
from components.index.gallery import Gallery
from components.learning import aggregator, loss, selection, train
from components.learning.aggregator import Aggregator
from tests import planted
from tests.toy import ROOT

PARAMS = config.load(ROOT / "profiles" / "embedded.yaml").train.model_copy(
    update={"epochs": 2, "steps_per_epoch": 2, "batch": 8}
)


def with_one_right_path(right: str) -> Features:
    """By the other path the pictures of a category come last."""
    features = planted.features()
    if right == "text":
        return replace(features, imagined=-features.imagined)
    return replace(features, text=-features.text)


@pytest.mark.parametrize(("right", "weight"), [("text", 0.0), ("image", 1.0)])
def test_an_end_of_lambda_is_chosen_saved_and_served(
    right: str, weight: float, tmp_path: Path
) -> None:
    features = with_one_right_path(right)
    model, history = train.fit(features, PARAMS)
    assert model.fusion_weight == weight
    assert history["lambda"].iloc[int(history["validation_map"].argmax())] == weight
    model.save(tmp_path / "a.safetensors")
    stored = load_file(tmp_path / "a.safetensors")
    assert stored["lamda"].shape == (1,) and stored["lamda"].isfinite().all()
    loaded = Aggregator.load(tmp_path / "a.safetensors")
    assert loaded.fusion_weight == weight
    image = aggregator.aggregate(loaded, features)
    gallery = Gallery(features.gallery_clip, features.gallery_vision)
    scores = gallery.score(features.text, image, loaded.fusion_weight)
    np.testing.assert_array_equal(scores.fused, getattr(scores, right))
    again, _ = train.fit(features, PARAMS, loaded)  # it can be trained on
    assert again.trainable_fusion_weight.isfinite().all()


def test_one_run_serves_several_selections(tmp_path: Path) -> None:
    """Each gets the result of a run of its own, although they stop at different epochs."""
    features = planted.features()
    params = PARAMS.model_copy(update={"epochs": 12, "patience": 2})
    settings = (selection.grid(params.fusion_weight_step), ())

    def followed(*chosen: selection.Selection) -> tuple[selection.Selection, ...]:
        model = train.new_aggregator(features, params)
        train.follow(features, params, model, loss.ranking_loss, chosen)
        return chosen

    together = followed(*(selection.Selection(setting) for setting in settings))
    for setting, shared in zip(settings, together, strict=True):
        (alone,) = followed(selection.Selection(setting))
        assert alone.history == shared.history
        assert alone.waited == params.patience or len(alone.history) == params.epochs
        for name, values in alone.best.items():
            assert values.equal(shared.best[name])
    assert len({len(selection.history) for selection in together}) > 1


def test_training_where_it_may_use_an_accelerator_is_as_good() -> None:
    """Without one it is the same training."""
    features, params = planted.features(), PARAMS.model_copy(update={"epochs": 4})
    cpu, history = train.fit(features, params)
    other, seen = train.fit(features, params.model_copy(update={"accelerator": True}))
    assert other.lamda.device.type == "cpu"  # whatever it was trained on, the caller gets it here
    best, its = history["validation_map"].max(), seen["validation_map"].max()
    if torch.cuda.is_available():
        assert its == pytest.approx(best, abs=TOLERANCE)
    else:
        assert its == best and cpu.fusion_weight == other.fusion_weight
