"""Traces over the steps of a search, through BentoML's two processes, to a receiver."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bento.server import environment, free_port
from bento.tracing import settings, span
from components.processes import end, family
from tests.toy import ROOT

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SERVICE = """
import os
import bentoml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from bento import tracing
from bento.metrics import exposition, metrics

CONFIG = {"tracing": tracing.settings(os.environ), "metrics": {"enabled": False}}

def scrape(_):
    body, media_type = exposition()
    return PlainTextResponse(body, media_type=media_type)

@bentoml.service(name="lower", workers=1, **CONFIG)
class Lower:
    def __init__(self):
        tracing.start()
    @bentoml.api
    def draw(self) -> int:
        with tracing.span("draw", pictures=6):
            metrics().drew(6, 0.1)
        return 6

@bentoml.service(name="upper", workers=1, **CONFIG)
class Upper:
    lower = bentoml.depends(Lower)
    def __init__(self):
        tracing.start()
    @bentoml.api
    async def search(self) -> int:
        with tracing.span("imagine"):
            metrics().waiting(1)
            return await self.lower.to_async.draw()

Upper.mount_asgi_app(Starlette(routes=[
    Route("/images/1", lambda _: PlainTextResponse("")), Route("/metrics", scrape)]))
"""


@contextmanager
def receiver() -> Iterator[tuple[str, list[Span]]]:
    """A receiver of OTLP over HTTP, and the spans that it gets."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(one for scope in resource.scope_spans for one in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[str]:
    """The two services above, and their address."""
    (folder / "traced.py").write_text(SERVICE)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bentoml", "serve", "traced:Upper"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment()
            | {"BENTOML_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
            | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(httpx.TransportError):
                if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                    break
            time.sleep(0.1)
        yield url
    finally:
        end(family(process.pid), 20)
        process.wait()


@pytest.mark.slow
def test_a_search_is_one_trace_over_both_processes(tmp_path: Path) -> None:
    with receiver() as (address, spans):
        variables = {ENDPOINT: address, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with serving(tmp_path, **variables) as url, httpx.Client(trust_env=False) as client:
            assert client.post(f"{url}/search", json={}).text == "6", (tmp_path / "log").read_text()
            assert client.get(f"{url}/images/1").status_code == 200
            metrics = client.get(f"{url}/metrics").text
            until = time.monotonic() + 20
            while time.monotonic() < until and {"imagine", "draw"} - {s.name for s in spans}:
                time.sleep(0.1)
            time.sleep(0.5)
    named = {one.name: one for one in spans}
    imagine, draw = named["imagine"], named["draw"]
    parents = {one.span_id: one.parent_span_id for one in spans}
    assert len({one.trace_id for one in spans}) == 1, "pictures and probes are not traced"
    above = [draw.span_id]
    while above[-1] in parents:
        above.append(parents[above[-1]])
    assert imagine.span_id in above
    assert imagine.parent_span_id in {one.span_id for one in spans if "search" in one.name}
    assert [(a.key, a.value.int_value) for a in draw.attributes] == [("pictures", 6)]
    assert "eidolon_waiting 1.0" in metrics and "eidolon_batch_pictures_sum 6.0" in metrics
    assert "bentoml_service" not in metrics


def test_without_a_receiver_no_spans_are_made() -> None:
    assert settings({}) == {"excluded_urls": "."} == settings({ENDPOINT: ""})
    with span("a step", pictures=6):
        pass


@pytest.mark.parametrize(
    ("variables", "protocol", "share"),
    [
        ({}, "http", 1.0),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc", 1.0),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, "http", 1.0),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.25"}, "http", 0.25),
        ({"OTEL_TRACES_SAMPLER_ARG": "many"}, "http", 1.0),
        ({"OTEL_TRACES_SAMPLER_ARG": "nan"}, "http", 1.0),
    ],
)
def test_the_variables_of_opentelemetry_switch_it_on(
    variables: dict[str, str], protocol: str, share: float
) -> None:
    found = settings({ENDPOINT: "http://127.0.0.1:4318"} | variables)
    assert found["exporter_type"] == "otlp"
    assert found["otlp"] == {"protocol": protocol}
    assert found["sample_rate"] == share
