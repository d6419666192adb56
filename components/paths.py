"""The files and folders that stages and runs share, in one place."""

from __future__ import annotations

from pathlib import Path

DATASET = Path("data/dataset")
LEFT_OUT = Path("data/left_out.csv")  # files of the source that the dataset does not use
PLAN = Path("data/plan")
SHARDS = Path("data/shards")
IMAGINED = Path("data/imagined")
ACCEPTED = Path("data/accepted")
VALIDATION = Path("artifacts/validation")
INSPECTION = Path("artifacts/inspection")
FEATURES = Path("artifacts/features")
AGGREGATOR = Path("artifacts/aggregator")
EVALUATION = Path("artifacts/evaluation")
CONFIDENCE = Path("artifacts/confidence")
BUNDLE = Path("artifacts/bundle")
TUNING = Path("artifacts/tuning")  # of `eidolon tune`, which is no stage
VERDICT = Path("artifacts/verdict")  # of the gate, on the version that was judged last
MONITOR = Path("reports/monitor")
LOCK = Path("dvc.lock")

HOME = Path(".eidolon")
"""What runs keep besides the outputs of stages. It never has the only copy of a user's file."""

RESTORING = HOME / "restoring"
"""The version that is being restored. The file stays if the restoration was interrupted."""

TEXTS = HOME / "texts.sqlite"
"""Pictures that the service imagined for texts: see components.imagining.memory."""

DEPLOYED = HOME / "deployed.json"
"""The Bento that is live. bento.pointer writes it."""

KNOWN = HOME / "pictures.sqlite"
"""What is known of picture files by their content: see components.cache. It may be deleted."""

ALIKE = HOME / "alike.safetensors"
"""Which imagined pictures are alike: see components.validation.likeness. It may be deleted."""

COMPARED = HOME / "compared.safetensors"
"""Which pictures `inspect` compared: see components.validation.compared. It may be deleted."""

COLLECTION = Path("collection")
"""The ingested pictures: see components.collection.catalog."""

PICTURES, POINTER = COLLECTION / "pictures", COLLECTION / "pictures.dvc"
"""The collection's picture files with their manifest, and the .dvc file that pins their version."""

COLLECTED = PICTURES / "manifest.csv"
"""The manifest of the collection, with a row for each picture."""

FEEDBACK = COLLECTION / "feedback.csv"
"""The marks of hits that people gave: see components.monitoring.feedback."""

SOURCE = COLLECTION / "source.json"
"""The record of the adapter's folder when it was last read: see components.datasets.source."""

INBOX = Path("inbox")
"""Sources that wait to be ingested: see ops.inbox."""

INGESTED = Path("outbox/ingested")
"""What was taken from the inbox, a folder for each time."""

QUARANTINE = Path("outbox/quarantine")
"""What was refused, a folder for each time."""

REASONS = ("file", "category", "kind", "reason", "like", "copy")
"""The columns of the quarantine's reasons.csv."""

OUTBOX = Path("outbox/unannounced.txt")
"""Pictures that were not yet announced to Airflow: see components.collection.outbox."""
