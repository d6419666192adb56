"""What the registry's errors mean, with MLflow itself on a database and over HTTP."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.errors import EidolonError, TransientError
from components.lifecycle import registry
from components.lifecycle.reference import reference
from tests.neighbours import answering


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry") / "mlflow.db"


@pytest.fixture
def client(database: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A registry with the model and no version of it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    client = registry.client()
    if not client.search_registered_models():
        client.create_registered_model(registry.MODEL)
    return client


def version(client: MlflowClient, folder: Path) -> registry.Registered:
    """A version whose run has the artifact `there`."""
    name = f"experiment of {folder.name}"
    run = client.create_run(client.create_experiment(name, folder.as_uri())).info
    client.log_text(run.run_id, "text", "there")
    source = f"{run.artifact_uri}/there"
    made = client.create_model_version(registry.MODEL, source=source, run_id=run.run_id)
    return registry.registered(str(made.version))


def test_a_version_that_is_not_there_is_bad_input(client: MlflowClient) -> None:
    assert registry.version_of("champion") is None
    with pytest.raises(EidolonError, match="has no version '99'"):
        registry.registered("99")
    assert not registry.exists("99")
    with pytest.raises(EidolonError, match=r"does not have it, or it was deleted .*99"):
        registry.set_alias("champion", "99")


def test_a_deleted_run_and_a_deleted_artifact_are_bad_input(
    client: MlflowClient, tmp_path: Path
) -> None:
    kept = version(client, tmp_path)
    assert registry.artifacts(kept, "there") == {"there": "text"}
    with pytest.raises(registry.MissingArtifactError, match="keeps no lineage"):
        registry.artifacts(kept, "lineage")
    with pytest.raises(EidolonError, match="does not have it, or it was deleted"):
        registry.download(kept.version, tmp_path)
    client.delete_run(kept.run_id)
    with pytest.raises(EidolonError, match=r"does not accept this .*deleted"), registry.reached():
        client.log_metric(kept.run_id, "a", 1)


def test_values_that_mlflow_refuses_are_bad_input(client: MlflowClient) -> None:
    too_long = pytest.raises(EidolonError, match=r"does not accept this .*maximum length of 250")
    with too_long, registry.reached():
        client.set_registered_model_tag(registry.MODEL, "a" * 400, "value")


def test_a_conflict_is_tried_again(client: MlflowClient) -> None:
    conflict = pytest.raises(TransientError, match="another process at the same time")
    with conflict, registry.reached():
        client.create_registered_model(registry.MODEL)


def test_a_locked_database_is_tried_again(
    client: MlflowClient, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}?timeout=0.1")
    registry.versions()
    with sqlite3.connect(database, isolation_level=None) as other:
        other.execute("begin exclusive")
        with pytest.raises(TransientError, match="database is locked"):
            registry.versions()
    other.close()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("nope://somewhere", "does not accept this .*unsupported URI"),
        ("mysql+nothing://somewhere", "is not a usable MLflow|does not accept this"),
        ("sqlite:///no.db", "is not a usable MLflow .*not a database"),
    ],
)
def test_an_address_without_a_registry_is_bad_input(
    uri: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no.db").write_text("no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(EidolonError, match=sentence):
        registry.versions()


PROBLEM = '{"error_code": "%s", "message": "the answer"}'


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (500, "", TransientError, "cannot be reached"),
        (503, "", TransientError, "cannot be reached"),
        (429, PROBLEM % "REQUEST_LIMIT_EXCEEDED", TransientError, "cannot be reached"),
        (200, "<html>log in</html>", TransientError, "cannot be reached"),
        (409, PROBLEM % "ABORTED", TransientError, "another process at the same time"),
        (400, PROBLEM % "RESOURCE_ALREADY_EXISTS", TransientError, "another process at the same"),
        (401, "", EidolonError, "refuses access"),
        (403, "<html>no</html>", EidolonError, "refuses access"),
        (403, PROBLEM % "PERMISSION_DENIED", EidolonError, "refuses access .*the answer"),
        (404, "<html>what?</html>", EidolonError, "is not a usable MLflow"),
        (400, PROBLEM % "INVALID_PARAMETER_VALUE", EidolonError, "does not accept .*the answer"),
    ],
)
def test_each_answer_of_a_server_gives_the_right_error(
    status: int,
    body: str,
    kind: type[Exception],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with answering(status, body) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        with pytest.raises(kind, match=sentence) as error:
            registry.versions()
    assert type(error.value) is kind and "\n" not in str(error.value)


def test_a_server_that_is_gone_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with answering(200) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    calls: list[Callable[[], object]] = [registry.versions, lambda: reference(None, 0.1)]
    for call in calls:
        with pytest.raises(TransientError, match="cannot be reached"):
            call()
