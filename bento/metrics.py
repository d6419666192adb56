"""Prometheus metrics of the service, which all its processes share.

`prometheus_client` must be imported in a worker only: BentoML names the folder in which processes
share their values when it starts them. BentoML's own metrics of an entry service are switched off,
because they keep a time series for every address that anyone has asked for, and so for every
picture.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil
from starlette.requests import Request
from starlette.responses import Response

from components.api.messages import Answer, BundleName, Imagined

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which BentoML tells its processes where to share their values."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_LIVE = re.compile(r"gauge_live\w*_(\d+)\.db")


class _Metric(NamedTuple):
    """``mode`` says how the gauges of several processes become one."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    mode: str = ""


METRICS = (
    _Metric(
        "eidolon_requests_total",
        "counter",
        "requests, by route and status; `other` is an address that the service does not have",
        ("route", "status"),
    ),
    _Metric(
        "eidolon_searches_total",
        "counter",
        "answers to searches by text; `degraded` is the reason or `no`",
        ("mode", "known", "degraded"),
    ),
    _Metric(
        "eidolon_step_seconds",
        "histogram",
        "how long each step of a search took: `text`, `imagine` (with waiting), `rank`, `total`",
        ("step",),
        _SECONDS,
    ),
    _Metric(
        "eidolon_texts_total",
        "counter",
        "texts that needed imagined pictures, by where these came from: `memory` of earlier"
        " searches, `shared` with a search at the same time, or newly `drawn`",
        ("found",),
    ),
    _Metric(
        "eidolon_pictures_total",
        "counter",
        "pictures in answers to texts that are no category, by verdict: `kept`, or why the picture"
        " was not used",
        ("verdict",),
    ),
    _Metric(
        "eidolon_waiting",
        "gauge",
        "texts whose pictures are being drawn or wait for that",
        mode="livesum",
    ),
    _Metric(
        "eidolon_batch_pictures",
        "histogram",
        "pictures that were drawn at once",
        buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    ),
    _Metric(
        "eidolon_drawing_seconds",
        "histogram",
        "how long one batch took to draw and to encode",
        buckets=_SECONDS,
    ),
    _Metric(
        "eidolon_confidence",
        "histogram",
        "the confidence of answers: that the gallery has what was asked for",
        buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    ),
    _Metric(
        "eidolon_relevant_total",
        "counter",
        "answers, by whether anything in the gallery seems to fit",
        ("relevant",),
    ),
    _Metric(
        "eidolon_feedback_total",
        "counter",
        "what people said of a `hit` or an `imagined` picture: whether it is right",
        ("kind", "right"),
    ),
    _Metric(
        "eidolon_imaginer_up",
        "gauge",
        "1 if the imaginer answered when it was last asked, otherwise 0",
        mode="livemostrecent",
    ),
    _Metric(
        "eidolon_bundle_info",
        "gauge",
        "1 for the bundle that is served",
        ("version", "digest"),
        mode="livemax",
    ),
    _Metric(
        "eidolon_memory_bytes",
        "gauge",
        "resident memory after the latest search (`api`) or drawing (`imaginer`), over all"
        " processes of the kind",
        ("process",),
        mode="livesum",
    ),
)


class Metrics:
    """Counts what one worker does. Use :func:`metrics`: a process registers each name once."""

    def __init__(self) -> None:
        import prometheus_client

        _forget_the_dead()
        self._made: dict[str, Any] = {}
        for metric in METRICS:
            more: dict[str, Any] = {}
            if metric.buckets:
                more["buckets"] = metric.buckets
            if metric.mode:
                more["multiprocess_mode"] = metric.mode
            make = getattr(prometheus_client, metric.kind.capitalize())
            self._made[metric.name] = make(metric.name, metric.meaning, metric.labels, **more)

    def answered(self, route: str, status: int) -> None:
        """A request was answered."""
        self._made["eidolon_requests_total"].labels(route, status).inc()

    def searched(self, answer: Answer) -> None:
        """A search by text has its final answer."""
        known, degraded = _word(answer.known), answer.degraded or "no"
        self._made["eidolon_searches_total"].labels(answer.mode, known, degraded).inc()
        for step, milliseconds in answer.timings.model_dump().items():
            if milliseconds > 0:  # a step that was not taken has none
                self._made["eidolon_step_seconds"].labels(step).observe(milliseconds / 1000)
        self._made["eidolon_confidence"].observe(answer.confidence)
        self._made["eidolon_relevant_total"].labels(_word(answer.relevant)).inc()
        self._remember("api")

    def found(self, where: Literal["memory", "shared", "drawn"]) -> None:
        """A text needed imagined pictures, and got them from there."""
        self._made["eidolon_texts_total"].labels(where).inc()

    def judged(self, pictures: Iterable[Imagined]) -> None:
        """These pictures were newly drawn, and judged for their text."""
        for picture in pictures:
            verdict = "kept" if picture.kept else picture.why or "unknown"
            self._made["eidolon_pictures_total"].labels(verdict).inc()

    def waiting(self, texts: int) -> None:
        """So many texts of this worker are being drawn, or wait for that."""
        self._made["eidolon_waiting"].set(texts)

    def drew(self, pictures: int, seconds: float) -> None:
        """The imaginer drew so many pictures at once."""
        self._made["eidolon_batch_pictures"].observe(pictures)
        self._made["eidolon_drawing_seconds"].observe(seconds)
        self._remember("imaginer")

    def feedback(self, kind: Literal["hit", "imagined"], right: bool) -> None:
        """A person said whether a picture is right."""
        self._made["eidolon_feedback_total"].labels(kind, _word(right)).inc()

    def imaginer(self, up: bool) -> None:
        """The imaginer was asked, and answered or did not."""
        self._made["eidolon_imaginer_up"].set(up)

    def serves(self, bundle: BundleName) -> None:
        """This worker serves ``bundle``."""
        self._made["eidolon_bundle_info"].labels(bundle.version, bundle.digest).set(1)

    def _remember(self, process: str) -> None:
        used = psutil.Process().memory_info().rss
        self._made["eidolon_memory_bytes"].labels(process).set(used)


@cache
def metrics() -> Metrics:
    """The metrics of this worker. The first call makes them."""
    return Metrics()


def exposition() -> tuple[bytes, str]:
    """The metrics of all processes in the format of Prometheus, and its media type."""
    import prometheus_client
    from prometheus_client import multiprocess

    registry = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return prometheus_client.generate_latest(registry), prometheus_client.CONTENT_TYPE_LATEST


def scraped(_: Request) -> Response:
    """The answer to Prometheus: :func:`exposition`."""
    body, media_type = exposition()
    return Response(body, media_type=media_type)


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _forget_the_dead() -> None:
    """Remove the gauges of processes that were killed: BentoML does so for those that end well."""
    for file in Path(os.environ.get(FOLDER, os.devnull)).glob("gauge_live*.db"):
        owner = _LIVE.fullmatch(file.name)
        if owner and not psutil.pid_exists(int(owner[1])):
            with suppress(FileNotFoundError):  # another worker did it
                file.unlink()
