"""Traces of a search over its steps and processes, sent by OpenTelemetry's OTLP.

BentoML makes a span for each request and hands it on to its other processes. The standard
variables of OpenTelemetry switch that on. BentoML keeps what belongs to a request, its span
included, until the time limit of the request, even when it was answered long before. So without a
receiver no spans are made, and with one none for pictures and probes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_RECEIVERS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SHARE = "OTEL_TRACES_SAMPLER_ARG"
_ALL = "."  # a pattern that every address contains
_UNTRACED = "/(images/|livez|readyz|health|metrics)"


def settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """BentoML's setting `tracing` for a service in ``environment``.

    The exporter itself reads the address, headers, time limit and compression. A share of requests
    that is no number from 0 to 1 is taken as 1.
    """
    if not any(environment.get(name) for name in _RECEIVERS):
        return {"excluded_urls": _ALL}
    protocol = next(filter(None, map(environment.get, _PROTOCOLS)), "http/protobuf")
    return {
        "exporter_type": "otlp",
        "sample_rate": _share(environment.get(_SHARE, "")),
        "excluded_urls": _UNTRACED,
        "otlp": {"protocol": "grpc" if protocol == "grpc" else "http"},
    }


def start() -> None:
    """Let :func:`span` use BentoML's tracer. Call it once in a worker."""
    from bentoml._internal.configuration.containers import BentoMLContainer
    from opentelemetry import trace

    trace.set_tracer_provider(BentoMLContainer.tracer_provider.get())


@contextmanager
def span(name: str, **attributes: str | bool | int | float) -> Iterator[None]:
    """Trace this block as a step of the request. It does nothing where the request has no span."""
    from opentelemetry import trace

    if not trace.get_current_span().is_recording():
        yield
        return
    with trace.get_tracer("eidolon").start_as_current_span(name, attributes=attributes):
        yield


@contextmanager
def open_span(name: str) -> Iterator[None]:
    """The same for a block that yields, and so may go on in another task. The steps in it are
    traced beside it, not below it."""
    from opentelemetry import trace

    if not trace.get_current_span().is_recording():
        yield
        return
    opened = trace.get_tracer("eidolon").start_span(name)
    try:
        yield
    finally:
        opened.end()


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        return 1.0
    return share if 0 <= share <= 1 else 1.0
