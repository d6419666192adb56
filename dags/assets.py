"""The assets through which one DAG starts another."""

from __future__ import annotations

from airflow.sdk import Asset, AssetWatcher

from ops.watching import ChampionMoved

DATASET = Asset(name="dataset", uri="eidolon://dataset")
"""A new version of the dataset. Every task that makes one emits this."""

PASSED = Asset(name="passed", uri="eidolon://passed")
"""A version passed the gate, and a person shall approve it. The extra is the gate's result."""

CHAMPION = Asset(
    name="champion",
    uri="eidolon://champion",
    watchers=[AssetWatcher(name="champion", trigger=ChampionMoved())],
)
"""A version became the champion: by a task, or because somebody moved the alias in MLflow, which
the watcher sees. The extra holds the version."""

DRIFT = Asset(name="drift", uri="eidolon://drift")
"""The monitor asks for a retraining. The extra holds champion, alarms and mlflow."""
