"""Where each stage leaves its output: the couplings between stages, in one place."""

from __future__ import annotations

from pathlib import Path

DATASET = Path("data/dataset")
LEFT_OUT = Path("data/left_out.csv")  # beside a dataset: what its source has and it has not
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

HOME = Path(".eidolon")
"""What runs keep beside that; no file of it is the only copy of what a person gave."""

RESTORING = HOME / "restoring"
"""The version that is being restored; it stays when that was interrupted."""

DEPLOYED = HOME / "deployed.json"
"""Which Bento is live: written by bento.pointer."""

COLLECTION = Path("collection")
"""What was ingested: see components.collection.catalog."""

PICTURES, POINTER = COLLECTION / "pictures", COLLECTION / "pictures.dvc"
"""Its files, and the file by which DVC knows them."""

SOURCE = COLLECTION / "source.json"
"""What the adapter's folder held when it was last read: see components.datasets.source."""

INBOX = Path("inbox")
"""What is to be ingested: see ops.inbox."""

INGESTED = Path("outbox/ingested")
QUARANTINE = Path("outbox/quarantine")
REASONS = ("file", "category", "kind", "reason", "like", "copy")
"""What was taken from the inbox; what was refused; a folder for each time. The columns of a
refusal's reasons.csv."""

OUTBOX = Path("outbox/unannounced.txt")
"""What Airflow has not been told of: see components.collection.outbox."""
