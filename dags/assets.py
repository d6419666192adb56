"""The assets through which one DAG starts another."""

from __future__ import annotations

from airflow.sdk import Asset

DATASET = Asset(name="dataset", uri="eidolon://dataset")
"""A new version of the dataset. Every task that makes one emits this."""

CHAMPION = Asset(name="champion", uri="eidolon://champion")
"""A version became the champion. The extra holds version, run_id and bento."""

DRIFT = Asset(name="drift", uri="eidolon://drift")
"""The monitor asks for a retraining. The extra holds champion, alarms and mlflow."""
