"""The result of a run: the last table of `make run`, and reports/summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from components.errors import EidolonError
from components.kinds import CLASS
from components.paths import VALIDATION, VERDICT
from ops.record import Event

_ENVIRONMENT = '  eval "$(.venv/bin/python -m ops env)"'
GROUPS = ("seen", "unseen", "unseen_only", "harmonic")


def outcome(events: list[Event], task: str) -> Event | None:
    """How the last attempt of ``task`` ended, or ``None``."""
    ends = [e for e in events if e.task == task and e.kind in ("done", "skipped", "failed")]
    return ends[-1] if ends else None


def result(events: list[Event], task: str) -> dict[str, Any]:
    """The result of ``task``. Raises :class:`EidolonError` when there is none."""
    end = outcome(events, task)
    if end is None or end.kind != "done":
        raise EidolonError(f"the task {task} gave no result: see the log")
    return end.result


def summarise(
    events: list[Event],
    metrics: Mapping[str, Any],
    query: Mapping[str, Any],
    stages: list[str],
    bento: str | None,
) -> dict[str, Any]:
    """The content of reports/summary.json. An unknown figure is null, such as a bound of an
    interval over too few categories."""
    registered = result(events, "register")
    runs = {name: result(events, name) for name in stages}
    return {
        "map": _maps(metrics),
        "gain": {"unseen": {k: metrics["gain"]["unseen"].get(k) for k in ("mean", "low", "high")}},
        "lambda": metrics["lambda"],
        "mlflow": {key: registered[key] for key in ("run_id", "model", "version")},
        "bento": {"tag": bento},
        "stages": {
            name: {"seconds": run["seconds"], "cached": run["cached"]} for name, run in runs.items()
        },
        "query": dict(query),
    }


def _maps(metrics: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float | None]]]:
    """mAP by score, by group, and by the kind of query. Without descriptions there is one kind."""
    kinds = {kind: of["map"] for kind, of in metrics.get("kinds", {}).items()}
    kinds = kinds or {CLASS: metrics["map"]}
    return {
        score: {
            group: {kind: of[score][group].get("mean") for kind, of in kinds.items()}
            for group in GROUPS
        }
        for score in metrics["map"]
    }


def by_kind(metrics: Mapping[str, Any]) -> Table | None:
    """mAP of unseen categories by the kind of query; ``None`` without descriptions."""
    if "kinds" not in metrics:
        return None
    table = _table("Unseen categories, asked for in three ways", metrics)
    names = {"class": "by name", "description": "by description", "both": "by both"}
    for kind, name in names.items():
        of = metrics["kinds"][kind]
        table.add_row(name, *_intervals(of, "unseen"))
    return table


def figures(metrics: Mapping[str, Any]) -> Table:
    """mAP by kind and group, with 95 % intervals. The caption names the groups without one, and
    why."""
    table = _table("mAP, with 95 % bootstrap intervals over categories", metrics)
    for group in metrics["gain"]:
        table.add_row(group.replace("_", " "), *_intervals(metrics, group))
    few = [
        f"{group} ({count})"
        for group, count in metrics["categories"].items()
        if "low" not in metrics["gain"][group]
    ]
    notes = [f"too few categories for an interval: {', '.join(few)}"] if few else []
    if left := metrics["text_only"]:
        notes.append(f"searched by text alone, so without an image figure: {left} categories")
    table.caption = "\n".join(notes) or None
    return table


def _table(title: str, metrics: Mapping[str, Any]) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in ("", *metrics["map"], "fused − text"):
        table.add_column(column, no_wrap=True)
    return table


def _intervals(of: Mapping[str, Any], group: str) -> list[str]:
    """The cells of one row of such a table."""
    maps = [_interval(groups[group], "") for groups in of["map"].values()]
    return [*maps, _interval(of["gain"][group], "+")]


def facts(summary: Mapping[str, Any], seconds: float, then: str) -> Table:
    """λ, the versions, the example query, the pages, the duration, and what to do next
    (``then``)."""
    flow, query = summary["mlflow"], summary["query"]
    scores: dict[str, list[str]] = {}
    for hit in query["hits"]:
        scores.setdefault(hit["category"], []).append(f"{hit['score']:.2f}")
    found = ", ".join(f"{category} {' '.join(of)}" for category, of in scores.items())
    minutes, rest = divmod(round(seconds), 60)
    table = Table.grid(padding=(0, 2))
    table.add_row("λ", f"{summary['lambda']:.3f}")
    table.add_row("MLflow", f"{flow['model']} version {flow['version']}")
    table.add_row("Bento", summary["bento"]["tag"] or "none is deployed")
    table.add_row("query", Text(f"“{query['text']}” → {found}"))
    table.add_row("reports", "reports/*.png, reports/summary.json")
    table.add_row("pictures", f"{VALIDATION}/index.html: what validation found")
    table.add_row("verdict", f"{VERDICT}/index.html: how it compares with the champion")
    table.add_row("took", f"{minutes} min {rest} s" if minutes else f"{rest} s")
    table.add_row("next", then)
    return table


def not_promoted(events: list[Event]) -> str | None:
    """Why the version was not promoted, with the command by which a person does it all the same;
    ``None`` when it was, or when nothing has changed. The gate refused it, or a person shall
    approve it."""
    gate, submitted = outcome(events, "gate"), outcome(events, "submit")
    version = None if gate is None else result(events, "register")["version"]
    if gate is not None and gate.kind == "skipped":
        return (
            f"{gate.text}\nthe verdict with its figures: {VERDICT}/index.html\n"
            "to serve it all the same, with a reason that is kept:\n"
            f'{_ENVIRONMENT}\n  eidolon promote {version} --reason "…"'
        )
    if submitted is not None and submitted.kind == "done":
        return (
            f"version {version} passed the gate, and waits for approval: answer in Airflow (`make"
            f" up`), or run\n{_ENVIRONMENT}\n  eidolon promote {version}"
        )
    return None


def _interval(value: Mapping[str, float], sign: str) -> str:
    figures = [format(value[k], f"{sign}.3f") for k in ("mean", "low", "high") if k in value]
    mean, *bounds = figures or ["none"]
    return f"{mean}\n{'…'.join(bounds)}"
