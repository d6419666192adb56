"""The dashboard and the rules for alerts ask for metrics that there are, and for all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml

from bento.metrics import METRICS
from tests import documents
from tests.toy import ROOT

DASHBOARD = json.loads((ROOT / "ops" / "grafana" / "eidolon.json").read_text())
KNOWN = {metric.name: metric for metric in METRICS}
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
ALERTS = "ops/grafana/alerts.yml"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / ALERTS).read_text())["groups"]
    for rule in group["rules"]
]
SELECTED = re.compile(r"(eidolon_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"by \(([^)]*)\)")


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression, with its place."""
    for panel in DRAWN:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES:
        if rule["alert"] != "EidolonDown":
            yield rule["alert"], rule["expr"]


def documented() -> list[dict[str, Any]]:
    """What docs/monitoring.md shows of prometheus.yml."""
    blocks = documents.read("docs/monitoring.md").blocks
    return [yaml.safe_load(b.text) for b in blocks if b.language == "yaml"]


def metric_of(series: str) -> str:
    """The metric of a time series: a histogram has three."""
    stem = re.sub("_(bucket|sum|count)$", "", series)
    return stem if stem in KNOWN and KNOWN[stem].kind == "histogram" else series


def test_the_dashboard_shows_every_metric() -> None:
    shown = {
        metric_of(match[1])
        for panel in DRAWN
        for target in panel["targets"]
        for match in SELECTED.finditer(target["expr"])
    }
    assert shown == set(KNOWN)


@pytest.mark.parametrize(("place", "expression"), expressions())
def test_an_expression_uses_metrics_and_labels_that_there_are(place: str, expression: str) -> None:
    found = list(SELECTED.finditer(expression))
    assert found
    labels: set[str] = {"le"} if "_bucket" in expression else set()
    for match in found:
        name = metric_of(match[1])
        assert name in KNOWN, f"{place}: there is no {match[1]}"
        assert name != match[1] or KNOWN[name].kind != "histogram", f"{place}: {name} has parts"
        labels |= set(KNOWN[name].labels)
        chosen = re.findall(r"(\w+)!?=", match[2] or "")
        assert set(chosen) <= set(KNOWN[name].labels), f"{place}: {match[0]}"
    for group in GROUPED.findall(expression):
        assert set(re.findall(r"\w+", group)) <= labels, f"{place}: by ({group})"
    assert expression.count("(") == expression.count(")")


def test_counters_are_read_as_rates() -> None:
    for place, expression in expressions():
        for match in SELECTED.finditer(expression):
            rate = re.search(r"(rate|increase)\($", expression[: match.start()])
            counts = KNOWN[metric_of(match[1])].kind != "gauge"
            assert bool(rate) == counts, f"{place}: {match[1]}"


def test_a_panel_takes_the_data_source_that_is_chosen() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    for panel in DRAWN:
        assert [panel["datasource"], *(t["datasource"] for t in panel["targets"])] == [chosen] * (
            1 + len(panel["targets"])
        )


def test_rows_and_panels_have_their_places() -> None:
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == [
        "Traffic",
        "Latency by step",
        "Imaginer",
        "Cache hits",
        "Quality",
        "Bundle",
    ]
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def test_each_rule_is_whole_and_in_the_document() -> None:
    table = re.findall(
        r"^\| `(Eidolon\w+)` \|", (ROOT / "docs" / "monitoring.md").read_text(), re.M
    )
    assert table == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"\d+[mh]", rule["for"]) and rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_prometheus_loads_the_rules_and_names_the_job_as_they_do() -> None:
    scraped, loaded = documented()
    assert loaded["rule_files"][0].endswith(f"/{ALERTS}")
    (down,) = (rule["expr"] for rule in RULES if rule["alert"] == "EidolonDown")
    (job,) = (job["job_name"] for job in scraped["scrape_configs"])
    assert down == f'absent(up{{job="{job}"}} == 1)'
