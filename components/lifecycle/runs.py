"""MLflow: the run of a version, and what it records of the bundle and of how it was made."""

from __future__ import annotations

import json
import os
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient

from components import config, tables
from components.files import read_json
from components.nested import flat
from components.paths import (
    ACCEPTED,
    AGGREGATOR,
    BUNDLE,
    COLLECTION,
    DATASET,
    EVALUATION,
    INSPECTION,
    LOCK,
    POINTER,
    SOURCE,
    VALIDATION,
)

EXPERIMENT = "eidolon-retrain"

KEPT = {
    "params.yaml": config.PARAMS,
    "dataset.csv": DATASET / "manifest.csv",
    "accepted.csv": ACCEPTED / "manifest.csv",
    "collection.csv": COLLECTION / "manifest.csv",
    "pictures.dvc": POINTER,
    "source.json": SOURCE,
}
"""The files, besides dvc.lock, from which a version is traced and restored, by their names in the
run's `lineage/`."""


def log(params: config.Params, info: dict[str, Any], rows: pd.DataFrame) -> None:
    """Log everything about the bundle to the active run.

    This is: the parameters, the bundle's metrics, the metrics of each epoch under `train.`, and all
    files that record what the bundle was made from. ``info`` is the content of bundle.json, and
    ``rows`` is the dataset's manifest.
    """
    mlflow.log_params(_params(params))
    trained = read_json(AGGREGATOR / "train.json", "run `dvc repro train`")
    mlflow.log_metrics({k: float(v) for k, v in flat(info["metrics"] | trained).items()})
    history = tables.read(AGGREGATOR / "history.csv", ("epoch",), "run `dvc repro train`")
    for row in history.to_dict("records"):
        epoch = int(row.pop("epoch"))
        of_epoch = {f"train.{name}": float(value or "nan") for name, value in row.items()}
        mlflow.log_metrics(of_epoch, epoch)
    mlflow.log_input(
        mlflow.data.from_pandas(  # type: ignore[attr-defined]
            rows, source=str(DATASET), name=params.profile, digest=info["dataset"]["dvc"][:36]
        ),
        context="training",
    )
    mlflow.log_artifacts(str(EVALUATION), "evaluation")
    mlflow.log_artifacts(str(VALIDATION), "validation")
    if INSPECTION.is_dir():
        mlflow.log_artifacts(str(INSPECTION), "inspection")
    mlflow.log_artifact(str(LOCK))
    for name, file in KEPT.items():
        if file.is_file():
            mlflow.log_text(file.read_text(), f"lineage/{name}")
    mlflow.log_artifacts(str(BUNDLE), "bundle")


def experiment(client: MlflowClient, name: str = EXPERIMENT) -> str:
    """The id of the experiment ``name``, which is created if needed.

    Without a server, its artifacts go to ``EIDOLON_ARTIFACTS``, because the default would depend on
    the working directory. A server has its own place for artifacts.
    """
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    served = mlflow.get_tracking_uri().startswith("http")
    place = None if served else os.environ.get("EIDOLON_ARTIFACTS")
    return str(client.create_experiment(name, artifact_location=place))


def _params(params: config.Params) -> dict[str, str]:
    """The parameters for MLflow: by ``section.key``, with values other than text as JSON.

    The names of categories stay inside the values, because MLflow restricts keys. MLflow truncates
    long values, but the run also has the complete params.yaml as lineage/params.yaml.
    """
    found: dict[str, Any] = {}
    for section, value in params.model_dump(mode="json", by_alias=True).items():
        fields = value if isinstance(value, dict) else {"": value}
        found |= {f"{section}.{key}".rstrip("."): inner for key, inner in fields.items()}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in found.items()
    }
