"""Capacity: numbers follow from sizes and costs, and the documentation shows what is printed."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from components.capacity.costs import costs
from components.capacity.needs import Sizes, needs
from components.cli.capacity import number, verbs
from tests.toy import ROOT

SIZES = Sizes(pictures=1e6, categories=1e3, queries=10, training=1e6)


def of(sizes: Sizes) -> dict[str, float]:
    return {need.what: need.value for need in needs(sizes)}


def test_a_need_is_its_formula() -> None:
    one, found = {name: cost.value for name, cost in costs().items()}, of(SIZES)
    cards = 8000 / one["drawn"] + 2_008_000 * (1 / one["clip"] + 1 / one["vision"])
    assert found["the first run"] == pytest.approx(cards / 3600)
    assert found["cards that draw"] == 1  # 0.3 of one
    assert found["bundles"] == pytest.approx(5 * 1e6 * (7168 + 1863.68 + 8) / 1e12)


@given(st.floats(1, 1e10), st.floats(0, 1e6), st.floats(0, 1e4))
def test_more_needs_no_less(pictures: float, categories: float, queries: float) -> None:
    sizes = Sizes(pictures, categories, queries)
    found = of(sizes)
    assert all(value >= 0 for value in found.values())
    double = of(replace(sizes, pictures=2 * pictures, queries=2 * queries))
    assert all(double[what] >= value for what, value in found.items())


def test_numbers_have_two_digits_that_count() -> None:
    assert [number(x) for x in (0, 0.01234, 1.16, 9.99, 17_714, 45.7)] == [
        *("0", "0.012", "1.2", "10", "18,000", "46")
    ]


def test_every_cost_has_a_source_and_is_used() -> None:
    assert all(cost.value > 0 and cost.source for cost in costs().values())
    formulas = " ".join(need.formula for need in needs(SIZES))
    assert all(name in formulas for name in costs())


def test_the_documentation_shows_what_is_printed() -> None:
    blocks = re.findall(
        r"```\n\$ eidolon capacity (.*)\n([^`]*)```", (ROOT / "docs/capacity.md").read_text()
    )
    assert len(blocks) == 4
    for words, shown in blocks:
        done = CliRunner().invoke(verbs, words.split(), env={"COLUMNS": "160", "NO_COLOR": "1"})
        printed = "\n".join(line.rstrip() for line in done.output.splitlines())
        assert printed.strip("\n") == shown.strip("\n")


def test_absurd_sizes_are_refused() -> None:
    for words in (["--pictures", "0"], ["--new", "2"], ["--pictures", "many"]):
        assert CliRunner().invoke(verbs, words).exit_code == 2
    (first, *_) = json.loads(CliRunner().invoke(verbs, ["--json"]).output)
    assert first["part"] == "retraining"
