"""Where each stage leaves its output: the couplings between stages, in one place."""

from __future__ import annotations

from pathlib import Path

DATASET = Path("data/dataset")
PLAN = Path("data/plan")
SHARDS = Path("data/shards")
IMAGINED = Path("data/imagined")
ACCEPTED = Path("data/accepted")
VALIDATION = Path("artifacts/validation")
INSPECTION = Path("artifacts/inspection")
FEATURES = Path("artifacts/features")
AGGREGATOR = Path("artifacts/aggregator")
EVALUATION = Path("artifacts/evaluation")
BUNDLE = Path("artifacts/bundle")
LOCK = Path("dvc.lock")

COLLECTION = Path("collection")
"""What was ingested: see components.collection."""

QUARANTINE = Path(".eidolon/quarantine")
REASONS = ("file", "category", "kind", "reason", "copy")
"""What was refused, a folder for each time, and the columns of its reasons.csv."""

OUTBOX = Path(".eidolon/ingest/unannounced.txt")
