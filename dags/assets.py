"""The assets by which DAGs start each other."""

from __future__ import annotations

from airflow.sdk import Asset

DATASET = Asset(name="dataset", uri="eidolon://dataset")
"""A new version of the dataset; whoever versions one emits this."""

CHAMPION = Asset(name="champion", uri="eidolon://champion")
"""A version became the champion; the extra holds version, run_id and bento."""
