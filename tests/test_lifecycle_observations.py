"""What the monitor keeps in MLflow, in a registry of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.errors import TransientError
from components.lifecycle import observations
from ops import monitoring
from ops.steps import NothingToDo
from tests.toy import ROOT


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("EIDOLON_ARTIFACTS", (tmp_path / "artifacts").as_uri())
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_a_look_is_a_run_with_its_metrics_and_its_page(
    registry: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("alarms")
    at = observations.record("2026-03-09", {"alarms": 2.0}, {"champion": "7"}, tmp_path / "page")
    experiment = registry.get_experiment_by_name(observations.EXPERIMENT)
    assert experiment is not None
    (run,) = registry.search_runs([experiment.experiment_id])
    assert at.endswith(run.info.run_id) and run.info.status == "FINISHED"
    assert run.data.metrics == {"alarms": 2.0} and run.data.tags["champion"] == "7"
    assert [file.path for file in registry.list_artifacts(run.info.run_id, "monitor")] == [
        "monitor/index.html"
    ]
    assert observations.pixels("9") == {}  # a version that is gone
    monkeypatch.chdir(ROOT)
    with pytest.raises(NothingToDo, match="no version is the champion"):
        monitoring.observe(lambda line: None)


def test_a_registry_that_is_away_is_worth_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TransientError):
        observations.record("x", {}, {}, tmp_path)
