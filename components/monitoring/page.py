"""The monitor's report as one HTML page: alarms first, then the figures, the days and the queries.

Everything is inside the page, so it can be read in its folder, in MLflow, or as an attachment. It
shows texts that people typed: it is as private as the log of queries.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from components.files import folder_aside, read_json, write_json
from components.monitoring import plots
from components.monitoring.figures import Figure
from components.monitoring.report import Report

_STATES = {
    "alarm": "alarm",
    "fine": "within its limit",
    "shown": "no limit",
    "open": "too little to conclude",
}
_STYLE = """
:root { color-scheme: light; --line: #d9dee3; --soft: #f4f6f8; --dim: #5d6b78; --red: #b3261e;
  --green: #2e7d4f }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1.5rem;
  color: #1d2730; background: #fff }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem }
.dim, figcaption, th { color: var(--dim) }
.alarms { list-style: none; padding: 0 } .alarms li { border-left: 4px solid var(--red);
  background: #fbeceb; padding: .6rem .9rem; margin: .5rem 0; border-radius: 0 4px 4px 0 }
.calm { border-left: 4px solid var(--green); background: #eaf5ee; padding: .6rem .9rem }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 500 }
td, th { border-bottom: 1px solid var(--line); padding: .3rem .5rem; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.state { white-space: nowrap } .alarm .state { color: var(--red); font-weight: 600 }
.fine .state { color: var(--green) } .shown .state, .open .state { color: var(--dim) }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: .6rem }
figure img { width: 100%; height: auto; display: block }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 2rem }
.lists td:first-child { overflow-wrap: anywhere } code { background: var(--soft); padding: 0 .25em }
"""


def write(report: Report, out: Path) -> Path:
    """Write ``report.json`` and ``index.html`` into the folder ``out``, in one step, and return the
    page's path. Only the user may read the folder, as the log of queries."""
    with folder_aside(out) as aside:
        aside.chmod(0o700)
        write_json(aside / "report.json", report.as_json())
        (aside / "index.html").write_text(render(report), encoding="utf-8")
    return out / "index.html"


def alarming(out: Path) -> frozenset[str]:
    """The names of the figures that alarm in the report in the folder ``out``; none without one.

    Raises :class:`EidolonError` when it is damaged.
    """
    file = out / "report.json"
    if not file.exists():
        return frozenset()
    figures = read_json(file, "delete it")["figures"]
    return frozenset(figure["name"] for figure in figures if figure["state"] == "alarm")


def render(report: Report) -> str:
    """The page as HTML."""
    until = max(report.days)
    alarms = "".join(f"<li>{_prose(sentence)}</li>" for sentence in report.alarms)
    notes = "".join(f"<li>{_prose(note)}</li>" for note in report.notes)
    drawn = "".join(_plot(title, svg) for title, svg in plots.all_of(report))
    rows = "".join(_row(figure) for figure in report.figures)
    lists = [
        ("Most frequent queries that found nothing relevant", report.nothing),
        ("Most frequent queries unlike every training text", report.strangers),
    ]
    shown = "".join(f"<section><h2>{_text(t)}</h2>{_queries(q)}</section>" for t, q in lists)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Monitor: {_text(report.summary)}</title><style>{_STYLE}</style>"
        f"<h1>Monitor: {_text(report.summary)}</h1>"
        f'<p class="dim">{report.since} to {until} (UTC), champion: version'
        f" {_text(report.champion)}, written {report.time:%Y-%m-%d %H:%M} UTC</p>"
        + (f'<ul class="alarms">{alarms}</ul>' if alarms else "")
        + ("" if alarms else '<p class="calm">Every figure that can be judged is within its limit.')
        + (f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "")
        + "<h2>Figures</h2><table><tr><th>figure</th><th class=n>value</th>"
        "<th class=n>95 % interval</th><th class=n>limit</th><th class=n>from</th><th>state</th>"
        f'</tr>{rows}</table><h2>Days</h2><div class="plots">{drawn}</div>'
        f'<div class="lists">{shown}</div></html>\n'
    )


def _row(figure: Figure) -> str:
    least = "at most" if figure.worse == "above" else "at least"
    limit = f"{least} {figure.written(figure.limit)}" if figure.limit is not None else ""
    count = "" if figure.count is None or figure.kind == "days" else f"{figure.count:,}"
    state = _STATES[figure.state]
    if figure.state == "open":
        few = bool(figure.count) and (figure.count or 0) < figure.least
        state = f"fewer than {figure.least}" if few else figure.note or "nothing to measure"
    return (
        f"<tr class={figure.state}><td>{_text(figure.title)}</td>"
        f"<td class=n>{figure.written(figure.value)}</td><td class=n>{figure.interval}</td>"
        f"<td class=n>{limit}</td><td class=n>{count}</td>"
        f"<td class=state>{_text(state)}</td></tr>"
    )


def _plot(title: str, svg: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    name = _text(title)
    return (
        f"<figure><figcaption>{name}</figcaption>"
        f'<img alt="{name}" src="data:image/svg+xml;base64,{data}"></figure>'
    )


def _queries(listed: Sequence[tuple[str, int]]) -> str:
    if not listed:
        return '<p class="dim">none</p>'
    rows = "".join(f"<tr><td>{_text(q)}</td><td class=n>{n:,}</td></tr>" for q, n in listed)
    return f"<table><tr><th>query</th><th class=n>times</th></tr>{rows}</table>"


def _prose(sentence: str) -> str:
    """A sentence, with what is between backticks as code."""
    parts = html.escape(sentence).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _text(value: object) -> str:
    return html.escape(str(value))
