"""The work of the DAG `monitor`, without Airflow: look, keep what was found, tell somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components import config
from components.errors import EidolonError, TransientError
from components.files import scratch
from components.paths import FEATURES, FEEDBACK, MONITOR, TEXTS
from ops import services, webhook
from ops.environment import DOWNLOADS, HOME
from ops.stage import Log
from ops.steps import NothingToDo

_WORDS = {"new": "new alarm", "standing": "alarm still stands", "resolved": "alarm is resolved"}


def observe(log: Log) -> dict[str, Any]:
    """Look at the logs of the service and at today's gallery, and compare them with the champion.

    Writes reports/monitor/, logs it in MLflow, and keeps marks of hits where
    `monitor.keep_feedback` is on. Raises :class:`NothingToDo` without a champion.
    """
    from components.lifecycle import observations, registry
    from components.monitoring import page
    from components.monitoring.monitor import monitor

    params = config.load()
    champion = registry.version_of(registry.CHAMPION)
    if champion is None:
        raise NothingToDo("no version is the champion yet, so there is nothing to compare with")
    with scratch(DOWNLOADS) as folder:
        report, judged = monitor(params, _seen(params, champion, folder, log))
    changes = report.changes(page.alarming(MONITOR))
    at = page.write(report, MONITOR)
    for note in report.notes:
        log(note)
    log(f"{report.summary}: {at.absolute().as_uri()}")
    if params.monitor.keep_feedback:
        _keep(judged, log)
    kept = ""
    try:
        tags = {"champion": report.champion, "retrain": str(report.retrain).lower()}
        kept = observations.record(f"{report.time:%Y-%m-%d}", report.metrics(), tags, MONITOR)
        log(f"kept in MLflow: {kept}")
    except (EidolonError, TransientError) as error:  # the alarms matter more
        log(f"not kept in MLflow: {error}")
    return {
        "summary": report.summary,
        "alarms": report.alarms,
        **changes,
        "retrain": report.retrain,
        "champion": report.champion,
        "page": at.as_posix(),
        "mlflow": kept,
    }


def _seen(params: config.Params, version: str, folder: Path, log: Log) -> Any:
    """What there is to look at. What is missing is logged, and the rest is looked at all the
    same."""
    from components.features.features import Features
    from components.lifecycle import observations, registry
    from components.monitoring import feedback, texts
    from components.monitoring.seen import Seen
    from components.serving.loading import load

    champion = registry.registered(version)
    bundle = load(registry.download(version, folder))
    features = embed = ranker = None
    try:
        features = Features.load(FEATURES)
    except EidolonError as error:
        log(f"today's gallery is not compared: {error}")
    try:
        embed = texts.embedder(bundle)
    except EidolonError as error:
        log(f"queries are not compared: {error}")
    marks = feedback.read(FEEDBACK)
    if embed is not None and not marks.empty:
        try:
            ranker = _ranker(params, bundle, version, embed)
        except EidolonError as error:
            log(f"the champion is not compared with the kept marks: {error}")
    return Seen(
        folder=HOME / "journal",
        logs=services.logs_of_requests(),
        bundle=bundle,
        champion=version,
        made=champion.created,
        newest=observations.since(champion),
        embed=embed,
        features=features,
        same=texts.same_encoders(params.encoders, bundle),
        marks=marks,
        ranker=ranker,
    )


def _ranker(params: config.Params, bundle: Any, version: str, embed: Any) -> Any:
    """The champion as it ranks: with pictures that were imagined for texts, where the service still
    remembers them."""
    from components.lifecycle import observations
    from components.monitoring.agreement import Ranker, remembered_for

    imagined = remembered_for(bundle, TEXTS, params.serve.remembered_bytes)
    return Ranker.of(bundle, observations.pixels(version), embed, imagined)


def _keep(judged: Any, log: Log) -> None:
    """Add marks to collection/feedback.csv, by the content of their pictures."""
    from components.lifecycle import observations
    from components.monitoring import feedback

    pixels = {one: observations.pixels(str(one)) for one in {mark.bundle for mark in judged}}
    table = feedback.kept(judged, pixels, FEEDBACK)
    if table is not None:
        log(f"{FEEDBACK} has {len(table)} marks now: commit it with the collection")


def notify(found: dict[str, Any], log: Log) -> None:
    """Log the alarms of what :func:`observe` found and those that are resolved, and send them to
    the webhook, if there is one and there are any. A webhook that fails is logged, and fails
    nothing."""
    lines = [f"{word}: {one}" for key, word in _WORDS.items() for one in found[key]]
    for line in lines:
        log(line)
    if lines:
        webhook.tell(_text(found, lines), found, log)


def wanted(found: dict[str, Any]) -> dict[str, Any]:
    """What the asset `drift` carries. Raises :class:`NothingToDo` when no alarm asks for a
    retraining."""
    if not found["retrain"]:
        raise NothingToDo("no alarm asks for a retraining")
    return {key: found[key] for key in ("champion", "alarms", "mlflow")}


def _text(found: dict[str, Any], lines: list[str]) -> str:
    """The message for people, as Slack, Mattermost and Teams show `text`."""
    head = f"Eidolon, version {found['champion']}: {found['summary']}"
    return "\n• ".join([head, *lines]) + (f"\n{found['mlflow']}" if found["mlflow"] else "")
