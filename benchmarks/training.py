"""Training on the accelerator against the CPU: how fast, and how unlike the results are.

The sums round differently, so the weights differ, and more with each step. What must agree is how
good they are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import made
from components import config
from components.features.features import Features
from components.learning.train import fit

TOLERANCE = 0.005
"""How far the best validation mAPs of both may be apart."""


@dataclass(frozen=True)
class Trained:
    """One training: ``seconds`` of an epoch, the best validation ``map``, and its λ."""

    seconds: float
    map: float
    fusion_weight: float


def compare(
    folder: Path, params: config.Train, training: int, categories: int, dim: int
) -> dict[str, Trained]:
    """Train on made features, of ``training`` pictures of ``categories`` with ``dim`` numbers in
    either space, on the CPU and on the accelerator; without one, on the CPU twice. ``folder`` is
    where the features are written."""
    folder.mkdir()
    features = made.features(folder, categories, categories, training, dim=dim)
    places = {"CPU": False, "accelerator": True}
    return {name: _trained(features, params, on_it) for name, on_it in places.items()}


def _trained(features: Features, params: config.Train, accelerator: bool) -> Trained:
    chosen = params.model_copy(update={"accelerator": accelerator})
    fit(features, chosen.model_copy(update={"epochs": 1, "steps_per_epoch": 1}))  # to warm up
    began = time.perf_counter()
    model, history = fit(features, chosen)
    took = time.perf_counter() - began
    return Trained(took / len(history), float(history["validation_map"].max()), model.fusion_weight)


def apart(found: dict[str, Trained]) -> float:
    """How far the best validation mAPs of :func:`compare` are apart."""
    maps = [one.map for one in found.values()]
    return max(maps) - min(maps)
