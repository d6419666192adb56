"""A verdict as one HTML page, which a person can read in a minute, wherever it is stored."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.images.thumbnails import inline

SHOWN = 5
"""Categories that are shown of those that gained and lost most."""

PICTURES = 3
"""Pictures of each of them."""

_SIDE = 96  # pixels of a thumbnail
_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto }
body { padding: 0 1.5rem }
h1 { font-size: 1.7rem; margin: 0 }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
header { border-left: .5rem solid; padding: .6rem 1.2rem; background: #8881 }
header p { font-size: 1.1rem; margin: .4rem 0 0; color: CanvasText }
.yes { color: #1b7f3b }
.no { color: #c2410c }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
td, th { border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left }
td.n, th.n { text-align: right }
tr.whole td { font-weight: 600 }
ul { padding-left: 0; list-style: none }
li { margin: .3rem 0 }
ul.rules li { padding-left: 1.6rem; text-indent: -1.6rem }
.mark { display: inline-block; width: 1.6rem; font-weight: 600; text-indent: 0 }
img.plot { width: 100%; background: #fff; margin-top: 1rem }
.side { display: grid; grid-template-columns: 1fr 1fr; gap: 2rem }
td img { height: 44px; margin-right: 4px; vertical-align: middle; image-rendering: pixelated }
@media (max-width: 44rem) { .side { grid-template-columns: 1fr; gap: 0 } }
"""
_LEFT_OUT = {
    "gone": "are of pictures that are not in today's gallery",
    "unknown": "are of categories that not every version has imagined pictures of",
    "text_alone": "of the queries are ranked by text alone, because the service does not remember"
    " pictures of them for every version",
}
_WORDS = {
    "better": "better",
    "no worse": "no worse",
    "inconclusive": "open",
    "worse": "worse",
    "too few": "too few categories",
}


def render(told: Mapping[str, Any], folder: Path, pictures: Mapping[str, Sequence[Path]]) -> str:
    """The page of the verdict ``told``, as it is in verdict.json.

    ``folder`` has slices.png, unless nothing was compared. ``pictures`` are some of the gallery, by
    category.
    """
    name = told["versions"]["challenger"]["name"]
    title = f"{name} {'may become the champion' if told['passed'] else 'is refused'}"
    title = title[0].upper() + title[1:]
    mark = "yes" if told["passed"] else "no"
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><header class={mark}><h1>{_text(title)}</h1>"
        f"<p>{_sentence(told['reason'])}</p></header>"
    ]
    if "gain" in told:
        parts += [_rules(told), _plot(folder / "slices.png"), _table(told)]
        parts += [_changes(told, pictures), _compared(told), _marked(told)]
        parts.append(_meaning(told["rules"]))
    return "\n".join([*parts, "</html>\n"])


def _rules(told: Mapping[str, Any]) -> str:
    """Each rule, whether it holds, and by what figures."""
    rows = [
        (
            _clears(told["gain"]),
            "Better than text alone on new categories",
            _range(told["gain"]),
        )
    ]
    for one in told["comparisons"]:
        worse = [part["name"] for part in one["slices"] if part["outcome"] == "worse"]
        against = one["against"]
        rows.append(
            (_clears(one["overall"]), f"No worse than {against}, overall", _range(one["overall"]))
        )
        rows.append((not worse, f"No slice is worse than {against}", ", ".join(worse)))
    items = (
        f'<li><span class="mark {"yes" if holds else "no"}">{"✓" if holds else "✗"}</span>'
        f"{_text(what)}{': ' * bool(figures)}{_text(figures)}</li>"
        for holds, what, figures in rows
    )
    return f"<h2>Why</h2><ul class=rules>{''.join(items)}</ul>"


def _clears(part: Mapping[str, Any]) -> bool:
    return part["low"] is not None and part["low"] > part["least"]


def _table(told: Mapping[str, Any]) -> str:
    """The differences of all slices, for each version that was compared with."""
    found = []
    for one in told["comparisons"]:
        rows = "".join(
            f"<tr{' class=whole' if part is one['overall'] else ''}><td>{_text(part['name'])}</td>"
            f"<td class=n>{part['categories']}</td><td class=n>{_signed(part['mean'])}</td>"
            f"<td class=n>{_signed(part['low'])}</td><td class=n>{_signed(part['high'])}</td>"
            f"<td class=n>{_least(part)}</td><td>{_WORDS[part['outcome']]}</td></tr>"
            for part in (one["overall"], *one["slices"])
        )
        heads = ("slice", "categories", "difference in mAP", "at least", "at most", "must be above")
        found.append(
            f"<h2>Compared with {_text(one['against'])}</h2><table><tr>{_heads(heads)}"
            f"<th>this is</th></tr>{rows}</table>"
        )
    return "".join(found)


def _heads(names: Iterable[str]) -> str:
    first, *others = names
    return f"<th>{first}</th>" + "".join(f"<th class=n>{name}</th>" for name in others)


def _plot(file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img class=plot alt="differences by slice" src="data:image/png;base64,{data}">'


def _changes(told: Mapping[str, Any], pictures: Mapping[str, Sequence[Path]]) -> str:
    """The categories that gained and lost most, side by side."""

    def side(what: str) -> str:
        rows = "".join(
            f"<tr><td>{_pictures(pictures.get(row['category'], ()))}</td>"
            f"<td>{_text(row['category'])}<br><small>{row['group']}</small></td>"
            f"<td class=n>{_signed(row['difference'])}</td></tr>"
            for row in told["changes"][what]
        )
        found = f"<table>{rows}</table>" if rows else "<p>None.</p>"
        return f"<div><h2>Categories that {what} most</h2>{found}</div>"

    return f"<div class=side>{side('gained')}{side('lost')}</div>"


def _pictures(files: Sequence[Path]) -> str:
    return "".join(inline(file, _SIDE) or "" for file in files)


def _compared(told: Mapping[str, Any]) -> str:
    """What was compared with what, and on which data."""
    data, versions = told["data"], told["versions"]
    columns = list(versions["challenger"]["map"])
    rows = "".join(
        f"<tr><td>{_text(one['name'])}, {_role(role)}</td>"
        + "".join(f"<td class=n>{one['map'][column]:.3f}</td>" for column in columns)
        + f"<td class=n>{one['lambda']:.2f}</td></tr>"
        for role, one in versions.items()
    )
    notes = [f"{one['name']} {note}." for one in versions.values() for note in one["notes"]]
    notes += [f"{note}." for note in told["notes"]]
    return (
        "<h2>What was compared</h2>"
        f"<p>Each version ranked the same {data['gallery']:,} pictures of today's gallery, for"
        f" {data['seen']} seen categories (in training; none of these pictures were) and"
        f" {data['new']} new ones (never trained on). mAP:</p>"
        f"<table><tr>{_heads(['version', *columns, 'λ'])}</tr>{rows}</table>"
        f"<ul>{''.join(f'<li>{_sentence(note)}</li>' for note in notes)}</ul>"
    )


def _marked(told: Mapping[str, Any]) -> str:
    """How each version ranks the pictures that people marked, or why that is unknown."""
    found = told["marked"]
    heading = "<h2>What people marked</h2>"
    if "problem" in found:
        return f"{heading}<p>The marks could not be compared: {_text(found['problem'])}.</p>"
    if not found["kept"]:
        return (
            f"{heading}<p>There are no marks. With <code>monitor.keep_feedback</code>, the monitor"
            " keeps those that people give to hits, on the page of the service or by"
            " <code>POST /feedback</code>.</p>"
        )
    said = f"{found['marks']:,} of {found['kept']:,} marks count, of {found['queries']:,} queries"
    said += " with both right and wrong pictures."
    for name, words in _LEFT_OUT.items():
        if found.get(name):
            said += f" {found[name]:,} {words}."
    if not found["marks"]:
        return f"{heading}<p>{said}</p>"
    names = {role: _text(one["name"]) for role, one in told["versions"].items()}
    rows = [
        *((f"{names[role]}, {_role(role)}", one) for role, one in found["versions"].items()),
        *(
            (f"{names['challenger']} minus {names[role]}", {k: _signed(v) for k, v in one.items()})
            for role, one in found["differences"].items()
        ),
    ]
    cells = "".join(
        f"<tr><td>{name}</td>"
        + "".join(f"<td class=n>{one.get(bound, '')}</td>" for bound in ("mean", "low", "high"))
        + "</tr>"
        for name, one in rows
    )
    return (
        f"{heading}<p>{said} How often a right picture is above a wrong one, with a 95 % interval"
        " over queries (1 is always, 0.5 is chance):</p>"
        f"<table><tr>{_heads(['version', 'share of pairs', 'from', 'to'])}</tr>{cells}</table>"
        "<p>This is shown and decides nothing. People mark what the live version showed them, so"
        " the marks favour it.</p>"
    )


def _role(role: str) -> str:
    return {"best": "the best so far"}.get(role, f"the {role}")


def _meaning(rules: Mapping[str, Any]) -> str:
    return (
        "<h2>What the figures mean</h2>"
        "<p>mAP says how well the right pictures come first: 1 is perfect. <b>Named</b> queries are"
        " names of known categories, <b>free text</b> is the same words served as any other text."
        " The four combinations of seen, new, named and free text count the same.</p>"
        "<p>The bounds say how much the difference depends on which categories happen to decide:"
        " each holds with 95 % confidence. The <b>margin</b> is the loss that does not matter. A"
        " version passes when it is shown to lose less than"
        f" {rules['margin']:g} overall, and when no slice is shown to be worse and may lose"
        f" {rules['slice_margin']:g} or more. <b>Open</b> means that the slice has too few"
        " categories to tell a loss from none, so it does not decide.</p>"
    )


def _range(part: Mapping[str, Any]) -> str:
    if part["low"] is None:
        return "too few categories to tell"
    mean, low, least = (_signed(part["mean"]), _signed(part["low"]), _least(part))
    return f"{mean} in mAP, at least {low}; that must be above {least}"


def _least(part: Mapping[str, Any]) -> str:
    return _minus(f"{part['least']:g}")


def _signed(value: float | None) -> str:
    return "" if value is None else _minus(f"{value:+.4f}")


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _sentence(text: str) -> str:
    return _text(text[0].upper() + text[1:])


def _text(value: object) -> str:
    return html.escape(str(value))
