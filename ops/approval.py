"""What a person reads who decides about a version: the figures of the gate's verdict, as Markdown
for Airflow's page. They come from MLflow, which keeps the verdict with the version; the folder of
the last verdict may be another version's by then."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ops import pages
from ops.stage import Log

_VERDICT = "verdict/verdict.json"


def question(passed: Mapping[str, Any], log: Log) -> str:
    """The text about the version that the gate has ``passed``. Without figures, where MLflow has
    none of it, which is logged."""
    from components.lifecycle import registry

    version = passed["version"]
    parts = [passed["reason"]]
    try:
        kept = registry.artifacts(registry.registered(version), _VERDICT)[_VERDICT]
        parts += _figures(json.loads(kept))
    except registry.MissingArtifactError as error:
        log(str(error))
    page = f"[Version {version} in MLflow]({pages.version(version)})"
    parts.append(f"{page} has the whole verdict, in the artifacts of its run.")
    return "\n\n".join(parts)


def _figures(told: Mapping[str, Any]) -> list[str]:
    """A table for the gain over text alone, and for each version that was compared with."""
    tables = [_table("Compared with text alone", [told["gain"]])] if "gain" in told else []
    return tables + [
        _table(f"Compared with {one['against']}", [one["overall"], *one["slices"]])
        for one in told["comparisons"]
    ]


def _table(title: str, rows: Iterable[Mapping[str, Any]]) -> str:
    heads = "| slice | categories | difference in mAP | between | must be above | this is |"
    return "\n".join(
        [f"**{title}**\n", heads, "|---|---:|---:|---:|---:|---|", *(_row(one) for one in rows)]
    )


def _row(part: Mapping[str, Any]) -> str:
    mean, low, high = (
        "" if part[bound] is None else f"{part[bound]:+.4f}" for bound in ("mean", "low", "high")
    )
    between = f"{low} and {high}" if low else ""
    cells = (part["name"], part["categories"], mean, between, f"{part['least']:g}", part["outcome"])
    return f"| {' | '.join(map(str, cells))} |"
