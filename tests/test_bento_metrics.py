"""Metrics of several processes, as Prometheus scrapes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bento.metrics import FOLDER, METRICS
from tests import documents
from tests.toy import ROOT

ANSWER = """
    from components.api.messages import Answer, BundleName, Imagined, Timings
    def answer(**changes):
        return Answer.model_construct(**dict(
            mode="fused", known=False, degraded=None, confidence=0.75, relevant=True,
            timings=Timings(text=2, imagine=300, rank=1, total=303)) | changes)
    def picture(why):
        return Imagined(id="0" * 64, picture="images/0", seed=1, weight=None, agreement=None,
                        kept=why is None, why=why)
"""


def worker(folder: Path, code: str) -> subprocess.Popen[str]:
    """A process of the service that runs ``code`` and then waits until its stdin closes."""
    start = "from bento.metrics import metrics\n"
    text = start + textwrap.dedent(ANSWER) + textwrap.dedent(code)
    process = subprocess.Popen(
        [sys.executable, "-c", text + "\nprint('done', flush=True)\nimport sys; sys.stdin.read()"],
        env=os.environ | {FOLDER: str(folder), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "done\n"
    return process


def stopped(process: subprocess.Popen[str]) -> None:
    process.communicate("")
    assert process.returncode == 0


def scraped(folder: Path) -> dict[str, dict[tuple[str, ...], float]]:
    """All samples by name, and by the values of their labels in the labels' order."""
    code = "from bento.metrics import exposition; print(exposition()[0].decode())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {FOLDER: str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(done.stdout):
        for sample in family.samples:
            labels = tuple(v for k, v in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[tuple[str, ...], float]]:
    """What two workers of the API and an Imaginer count together."""
    folder = tmp_path_factory.mktemp("metrics")
    api = """
        metrics().serves(BundleName(version=3, digest="769354cb145b"))
        metrics().searched(answer())
        metrics().searched(answer(degraded="slow", mode="text", confidence=0.2, relevant=False,
                                  timings=Timings(text=2, rank=1, total=3)))
        metrics().found("drawn"); metrics().found("memory")
        metrics().judged([picture(None), picture("is blank"), picture(None)])
        metrics().waiting(5); metrics().waiting(2)
        metrics().feedback("hit", True); metrics().feedback("imagined", False)
        metrics().imaginer(False); metrics().imaginer(True)
        metrics().answered("/search", 200)
    """
    imaginer = "metrics().drew(6, 0.4); metrics().drew(48, 3)"
    workers = [worker(folder, api), worker(folder, api), worker(folder, imaginer)]
    values = scraped(folder)
    for process in workers:
        stopped(process)
    return values


def test_counters_of_all_processes_are_added(
    found: dict[str, dict[tuple[str, ...], float]],
) -> None:
    assert found["eidolon_searches_total"] == {("no", "no", "fused"): 2, ("slow", "no", "text"): 2}
    assert found["eidolon_texts_total"] == {("drawn",): 2, ("memory",): 2}
    assert found["eidolon_pictures_total"] == {("kept",): 4, ("is blank",): 2}
    assert found["eidolon_relevant_total"] == {("yes",): 2, ("no",): 2}
    assert found["eidolon_feedback_total"] == {("hit", "yes"): 2, ("imagined", "no"): 2}
    assert found["eidolon_requests_total"] == {("/search", "200"): 2}


def test_histograms_have_each_step_that_was_taken(
    found: dict[str, dict[tuple[str, ...], float]],
) -> None:
    steps = found["eidolon_step_seconds_count"]
    assert steps == {("text",): 4, ("imagine",): 2, ("rank",): 4, ("total",): 4}
    assert found["eidolon_step_seconds_sum"][("imagine",)] == pytest.approx(0.6)
    assert found["eidolon_batch_pictures_bucket"][("8.0",)] == 1
    assert found["eidolon_drawing_seconds_sum"][()] == pytest.approx(3.4)
    assert found["eidolon_confidence_bucket"][("0.5",)] == 2


def test_gauges_of_all_processes_become_one(
    found: dict[str, dict[tuple[str, ...], float]],
) -> None:
    assert found["eidolon_waiting"] == {(): 4}
    assert found["eidolon_imaginer_up"] == {(): 1}
    assert found["eidolon_bundle_info"] == {("769354cb145b", "3"): 1}
    assert min(found["eidolon_memory_bytes"].values()) > 2**20
    assert set(found["eidolon_memory_bytes"]) == {("api",), ("imaginer",)}


def test_the_gauges_of_a_killed_process_go_and_its_counts_stay(tmp_path: Path) -> None:
    first = worker(tmp_path, "metrics().waiting(7); metrics().found('drawn')")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    stopped(worker(tmp_path, "metrics().waiting(1); metrics().found('drawn')"))
    found = scraped(tmp_path)
    assert found["eidolon_waiting"] == {(): 1}
    assert found["eidolon_texts_total"] == {("drawn",): 2}


def test_the_library_waits_for_a_worker() -> None:
    code = "import sys, bento.metrics, bento.logs; sys.exit('prometheus_client' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_document_has_each_metric_as_the_code_has_it() -> None:
    rows = documents.section("docs/monitoring.md", "Metrics")[1:]
    shown = [(documents.codes(a)[0], b, tuple(documents.codes(c)), d) for a, b, c, d in rows]
    assert shown == [(m.name, m.kind, m.labels, m.meaning) for m in METRICS]
