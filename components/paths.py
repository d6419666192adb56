"""Where each stage leaves its output: the couplings between stages, in one place."""

from __future__ import annotations

from pathlib import Path

DATASET = Path("data/dataset")
IMAGINED = Path("data/imagined")
VALIDATION = Path("artifacts/validation")
FEATURES = Path("artifacts/features")
AGGREGATOR = Path("artifacts/aggregator")
EVALUATION = Path("artifacts/evaluation")
BUNDLE = Path("artifacts/bundle")
LOCK = Path("dvc.lock")
