"""MLflow: the registered versions of the model, their aliases and tags.

The alias ``champion`` names the live version, ``previous`` the one before it, ``challenger`` the
newest candidate, and ``best`` the best one so far (:mod:`components.lifecycle.gate`).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from components import config, manifest
from components.errors import EidolonError
from components.files import read_json, text_of
from components.lifecycle import artifacts as artifacts_of
from components.lifecycle import pruned, runs
from components.lifecycle.card import card
from components.lifecycle.registry_errors import GONE, code_of, translated
from components.lifecycle.snapshot import HERE
from components.locks import held
from components.paths import BUNDLE, DATASET, HOME
from components.variables import masked
from components.versioning import git, lock

if TYPE_CHECKING:
    from components.lifecycle.judging import Verdict

MODEL = "eidolon"
CHAMPION, PREVIOUS, CHALLENGER, BEST = "champion", "previous", "challenger", "best"
ROLLED_BACK, VERDICT, LEADS, TRIAL = "rolled_back", "verdict", "leads", "trial"  # a version's tags

TAG_LENGTH = 5000
"""Characters that MLflow keeps of a tag."""

_UNKNOWN = {*GONE, "INVALID_PARAMETER_VALUE"}
"""The codes of MLflow's errors for a version, and for an alias, that does not exist."""

_ERRORS = (MlflowException, SQLAlchemyError, RequestException, ModuleNotFoundError)


@dataclass(frozen=True)
class Version:
    """A registered bundle. ``created`` is false if the same dvc.lock was registered before."""

    run_id: str
    model: str
    version: str
    created: bool


@dataclass(frozen=True)
class Registered:
    """A version as the registry describes it. ``created`` is the time in UTC."""

    version: str
    run_id: str
    created: datetime
    aliases: tuple[str, ...]
    tags: dict[str, str]


class MissingArtifactError(EidolonError):
    """A version has no artifact of that name."""


@contextmanager
def reached() -> Iterator[None]:
    """Turn errors of MLflow into our own.

    Raises :class:`EidolonError` for a request that the registry refuses, and for something that it
    does not have. Raises :class:`TransientError` for an outage or a conflict.
    """
    try:
        yield
    except _ERRORS as error:
        raise translated(error, tracking_uri()) from None


@contextmanager
def alone() -> Iterator[None]:
    """Let no other process of this checkout register or promote in this block."""
    with held(HOME / "registry.lock"):
        yield


def client() -> MlflowClient:
    """A client of the registry at ``MLFLOW_TRACKING_URI``.

    Raises :class:`EidolonError` when the variable is not set. MLflow's default would depend on the
    working directory.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise EidolonError(
            "MLFLOW_TRACKING_URI is not set: use `make`, or first run"
            ' `eval "$(.venv/bin/python -m ops env)"`'
        )
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # seconds, not minutes
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for each file
    return MlflowClient()


def tracking_uri() -> str:
    """The address of the registry, without a password, to be shown to people."""
    return masked(mlflow.get_tracking_uri())


@reached()
def register(params: config.Params, pinned: Mapping[str, Path] = HERE) -> Version:
    """Log the bundle as a run and register it as ``challenger``.

    ``pinned`` are the files that :func:`components.lifecycle.runs.log` records. This is idempotent:
    a dvc.lock that was registered before gives the same version again. If that was pruned, the
    bundle here, which has that dvc.lock, takes its place.
    """
    registry, digest = client(), lock.digest()
    with alone():  # two processes must not register the same dvc.lock
        known = _with_digest(registry, digest)
        created = known is None
        found = known or _create(registry, digest, params, pinned)
        if pruned.PRUNED in found.tags:
            artifacts_of.replace(registry, found.run_id or "", pruned.HEAVY, pruned.LINEAGE)
            untag(str(found.version), pruned.PRUNED)
        registry.set_registered_model_alias(MODEL, CHALLENGER, found.version)
    return Version(found.run_id or "", MODEL, str(found.version), created)


def _create(
    registry: MlflowClient, digest: str, params: config.Params, pinned: Mapping[str, Path]
) -> ModelVersion:
    """A new version with its run, tags and card."""
    info = read_json(BUNDLE / "bundle.json", "run `dvc repro bundle`")
    rows = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    tags = {
        "dvc_lock": digest,
        "dataset": info["dataset"]["dvc"],
        "pictures": str(len(rows)),
        "categories": str(rows["category"].nunique()),
        "collection": lock.collection_hash(text_of(pinned["pictures.dvc"])),
        **asdict(git.code()),
    }
    mlflow.set_experiment(experiment_id=runs.experiment(registry))
    with mlflow.start_run(run_name=f"retrain-{digest[:8]}") as run:
        mlflow.set_tags({"dvc_lock": digest, "profile": params.profile})
        runs.log(params, info, rows, pinned)
    try:
        registry.create_registered_model(
            MODEL, description="Retrieval bundles: gallery index, aggregator, λ, query vectors"
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return registry.create_model_version(
        MODEL,
        source=f"{run.info.artifact_uri}/bundle",
        run_id=run.info.run_id,
        tags=tags,
        description=card(info, tags),
    )


@reached()
def keep(folder: Path, why: str) -> str:
    """Log ``folder`` as the artifacts of a failed run, with ``why`` as its description.

    Returns where to find it. The next run would overwrite findings from before a version exists.
    """
    registry = client()
    run = registry.create_run(
        runs.experiment(registry),
        run_name=f"failed-{folder.name}",
        tags={"mlflow.note.content": why, "failed": folder.name},
    )
    registry.log_artifacts(run.info.run_id, str(folder), folder.name)
    registry.set_terminated(run.info.run_id, "FAILED")
    return f"{tracking_uri()} experiment {runs.EXPERIMENT}, run {run.info.run_id}"


@reached()
def is_registered() -> bool:
    """Whether the current dvc.lock was registered before."""
    return _with_digest(client(), lock.digest()) is not None


@reached()
def versions() -> list[Registered]:
    """All versions, oldest first."""
    found = client().search_model_versions(f"name = '{MODEL}'")
    aliases = _aliases() if found else {}
    return [_registered(v, aliases) for v in sorted(found, key=lambda v: int(v.version))]


@reached()
def registered(version: str) -> Registered:
    """One version, by its number or an alias.

    Raises :class:`EidolonError` when there is no such version.
    """
    found = _if_known(
        client().get_model_version if version.isdecimal() else client().get_model_version_by_alias,
        version,
    )
    if found is None:
        raise EidolonError(
            f"the model {MODEL!r} has no version {version!r}: `eidolon data log` lists them"
        )
    return _registered(found, _aliases())


@reached()
def artifacts(version: Registered, *paths: str) -> dict[str, str]:
    """The texts of a version's artifacts by their path. ``paths`` are files or folders.

    Raises :class:`MissingArtifactError` when one of ``paths`` does not exist.
    """
    texts = {}
    with tempfile.TemporaryDirectory() as place:
        for path in paths:
            try:
                got = Path(
                    mlflow.artifacts.download_artifacts(
                        artifact_uri=f"runs:/{version.run_id}/{path}", dst_path=place
                    )
                )
            except (*_ERRORS, OSError) as error:
                if code_of(error) not in GONE and not isinstance(error, FileNotFoundError):
                    raise
                raise MissingArtifactError(
                    f"version {version.version} keeps no {path} ({error}), because an older release"
                    " registered it or its artifacts were deleted: use another version"
                ) from None
            files = sorted(p for p in got.rglob("*") if p.is_file()) if got.is_dir() else [got]
            for file in files:
                texts[(Path(path) / file.relative_to(got)).as_posix()] = file.read_text()
    return texts


@reached()
def version_of(alias: str) -> str | None:
    """The number of the version that ``alias`` names, or None."""
    found = _if_known(client().get_model_version_by_alias, alias)
    return None if found is None else str(found.version)


@reached()
def exists(version: str) -> bool:
    """Whether the registry has ``version``: somebody may have deleted it."""
    return _if_known(client().get_model_version, version) is not None


@reached()
def set_alias(alias: str, version: str) -> None:
    """Let ``alias`` name ``version``. The champion moves by
    :mod:`components.lifecycle.promotion`."""
    client().set_registered_model_alias(MODEL, alias, version)


@reached()
def remove_alias(alias: str) -> None:
    """Let ``alias`` name no version."""
    client().delete_registered_model_alias(MODEL, alias)


@reached()
def tag(version: str, key: str, value: str) -> None:
    """Set a tag of ``version``; what is too long for MLflow is cut."""
    client().set_model_version_tag(MODEL, version, key, value[:TAG_LENGTH])


@reached()
def untag(version: str, key: str) -> None:
    """Remove a tag of ``version``."""
    client().delete_model_version_tag(MODEL, version, key)


@reached()
def store_verdict(version: str, folder: Path, verdict: Verdict) -> None:
    """Keep the gate's ``verdict`` on ``version``: as tags, as metrics of its run, in its card, and
    the page in ``folder`` as the artifacts `verdict/`."""
    registry, found = client(), registered(version)
    registry.log_artifacts(found.run_id, str(folder), "verdict")
    for name, figure in verdict.figures.items():
        registry.log_metric(found.run_id, f"gate.{name}", figure)
    said = {
        VERDICT: "passed" if verdict.passed else "refused",
        f"{VERDICT}_reason": verdict.reason,
        LEADS: str(verdict.passed and verdict.leads).lower(),
    }
    for key, value in said.items():
        tag(version, key, value)
    kept = artifacts(found, "bundle/bundle.json")["bundle/bundle.json"]
    registry.update_model_version(MODEL, version, card(json.loads(kept), found.tags | said))


@reached()
def download(version: str, folder: Path) -> Path:
    """Copy the bundle of ``version`` into ``folder``, and return its path.

    Raises :class:`EidolonError` when the version was pruned.
    """
    found = client().get_model_version(MODEL, version)
    pruned.check(version, found.tags)
    path = mlflow.artifacts.download_artifacts(
        artifact_uri=f"runs:/{found.run_id}/bundle", dst_path=str(folder)
    )
    return Path(path)


def _if_known(ask: Callable[[str, str], ModelVersion], which: str) -> ModelVersion | None:
    """The result of ``ask`` for the version ``which`` of the model, or None if it is unknown."""
    try:
        return ask(MODEL, which)
    except MlflowException as error:
        if error.error_code not in _UNKNOWN:
            raise
        return None


def _aliases() -> dict[str, str]:
    return dict(client().get_registered_model(MODEL).aliases)


def _registered(found: ModelVersion, aliases: dict[str, str]) -> Registered:
    return Registered(
        version=str(found.version),
        run_id=found.run_id or "",
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(a for a, v in aliases.items() if str(v) == str(found.version))),
        tags=dict(found.tags),
    )


def _with_digest(registry: MlflowClient, digest: str) -> ModelVersion | None:
    found = registry.search_model_versions(f"name = '{MODEL}' and tag.dvc_lock = '{digest}'")
    return max(found, key=lambda v: int(v.version), default=None)
