"""Great Expectations: decides whether measured rows are good enough for the pipeline to continue.

No other module imports it. Everything is measured before. An expectation gives the range of a
column's values, the share of rows that must be in it, and how severe a failure is.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from components.validation.limit import Limit

Severity = Literal["critical", "warning", "info"]

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # a fixed time: Airflow and MLflow record the real one
_RANDOM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{8}T\d{6}\.\d{6}Z")


@dataclass(frozen=True)
class Rule(Limit):
    """A limit that at least the share ``mostly`` of the values, without missing ones, must keep."""

    severity: Severity = "critical"
    mostly: float = 1.0


@dataclass(frozen=True)
class Suite:
    """Rules about the rows of ``frame``. The column ``key`` names the rows in messages."""

    name: str
    frame: pd.DataFrame
    key: str
    rules: Sequence[Rule]


@dataclass(frozen=True)
class Failure:
    """A broken rule: a sentence that names up to three of the rows that break it."""

    severity: Severity
    sentence: str


def run(suites: Sequence[Suite], docs: Path) -> list[Failure]:
    """Validate ``suites``, write Data Docs to ``docs``, and return the failures.

    The most severe failures come first. The context of Great Expectations is temporary.
    """
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")  # nothing is sent anywhere
    import great_expectations as gx

    with tempfile.TemporaryDirectory() as project:
        context = gx.get_context(mode="file", project_root_dir=project)
        context.variables.progress_bars = {"globally": False}
        source = context.data_sources.add_pandas("eidolon")
        failures = [failure for suite in suites for failure in _run_one(context, source, suite)]
        site = Path(project) / "gx" / "uncommitted" / "data_docs" / "local_site"
        _settle(site)
        shutil.copytree(site, docs)
    return sorted(failures, key=lambda f: ("critical", "warning", "info").index(f.severity))


def _run_one(context: Any, source: Any, suite: Suite) -> list[Failure]:
    """Validate ``suite`` in the ``context`` of Great Expectations; its frame goes by ``source``."""
    import great_expectations as gx

    flags = suite.frame.select_dtypes(bool).columns
    frame = suite.frame.astype(dict.fromkeys(flags, int))  # a range needs numbers
    outcome = _checkpoint(context, source, suite).run(
        batch_parameters={"dataframe": frame},
        run_id=gx.RunIdentifier(run_name="run", run_time=_NEVER),
    )
    (validated,) = outcome.run_results.values()
    rules = {rule.column: rule for rule in suite.rules}
    found = [result.to_json_dict() for result in validated.results]
    if len(found) != len(rules):  # a suite drops an expectation that it does not know
        raise RuntimeError(f"{len(found)} of {len(rules)} expectations of {suite.name} ran")
    return [
        _failure(rules[str(result["expectation_config"]["kwargs"]["column"])], suite, result)
        for result in found
        if not result["success"]
    ]


def _checkpoint(context: Any, source: Any, suite: Suite) -> Any:
    """The checkpoint of ``suite``, which writes the Data Docs when it runs."""
    import great_expectations as gx
    from great_expectations.expectations import ExpectColumnValuesToBeBetween

    expectations = [
        ExpectColumnValuesToBeBetween(
            column=rule.column,
            min_value=rule.low,
            max_value=rule.high,
            mostly=rule.mostly,
            severity=rule.severity,
            notes=f"otherwise: {rule.reason}",
        )
        for rule in suite.rules
    ]
    asset = source.add_dataframe_asset(suite.name)
    definition = gx.ValidationDefinition(
        name=suite.name,
        data=asset.add_batch_definition_whole_dataframe("all"),
        suite=context.suites.add(gx.ExpectationSuite(suite.name, expectations=expectations)),
    )
    return context.checkpoints.add(
        gx.Checkpoint(
            name=suite.name,
            validation_definitions=[context.validation_definitions.add(definition)],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [suite.key],
            },
        )
    )


def _settle(site: Path) -> None:
    """Replace random names and times in the Data Docs by numbers.

    So the same rows give the same pages, and dvc.lock does not change.
    """
    names: dict[str, str] = {}
    for page in sorted(site.rglob("*.html")):
        text = _RANDOM.sub(
            lambda name: names.setdefault(name[0], f"part{len(names)}"), page.read_text()
        )
        page.write_text(_TIME.sub("", text))


def _failure(rule: Rule, suite: Suite, result: dict[str, Any]) -> Failure:
    """The failure of ``rule`` from ``result``, a failed expectation as GX reports it."""
    if result["exception_info"]["raised_exception"]:
        raise RuntimeError(f"{suite.name}: {rule.column}: {result['exception_info']}")
    rows = [str(row[suite.key]) for row in result["result"]["unexpected_index_list"]]
    bounds = [f"at least {rule.low:g}"] if rule.low is not None else []
    bounds += [f"at most {rule.high:g}"] if rule.high is not None else []
    more = ", …" if len(rows) > 3 else ""
    sentence = (
        f"{suite.name}: {len(rows)} of {len(suite.frame)}: {rule.reason} ({rule.column} should be"
        f" {' and '.join(bounds)}): {', '.join(rows[:3])}{more}"
    )
    return Failure(rule.severity, sentence)
