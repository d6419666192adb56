"""What a trial beside the champion has shown of a version, kept beside the gate's verdict."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from components.lifecycle import registry

PAGE = "verdict/index.html"
FIGURES = "verdict/trial.json"

_SECTION = re.compile(r"<section id=trial>.*?</section>\n", re.DOTALL)
_ROWS = {
    "errors": ("answers that are errors", "{:.1%}"),
    "degraded": ("degraded answers", "{:.1%}"),
    "confidence": ("mean confidence", "{:.2f}"),
    "p50_ms": ("half of the answers within, ms", "{:.0f}"),
    "p95_ms": ("95 % of the answers within, ms", "{:.0f}"),
}


@registry.reached()
def keep(version: str, evidence: Mapping[str, Any]) -> None:
    """Keep ``evidence`` (:func:`ops.canary.evidence`) on ``version``: as :data:`FIGURES`, as a
    section of the verdict's page, which replaces that of an earlier trial, and as a sentence in the
    tag `trial`."""
    found = registry.registered(version)
    registry.client().log_dict(found.run_id, dict(evidence), FIGURES)
    show(version)
    registry.tag(version, registry.TRIAL, sentence(evidence))


@registry.reached()
def show(version: str) -> None:
    """Put what is kept of a trial of ``version`` on the verdict's page: the page of a new verdict
    lacks it. Nothing happens where there is no page, or was no trial."""
    found = registry.registered(version)
    try:
        kept = registry.artifacts(found, PAGE, FIGURES)
    except registry.MissingArtifactError:
        return
    body, end, _ = _SECTION.sub("", kept[PAGE]).rpartition("</html>")
    shown = section(json.loads(kept[FIGURES]))
    registry.client().log_text(found.run_id, f"{body}{shown}{end}\n", PAGE)


def sentence(evidence: Mapping[str, Any]) -> str:
    """What the trial has shown, in one line."""
    overlap, why = evidence["overlap"], evidence["withdrawn"]
    same = "" if overlap is None else f", {overlap:.0%} of the first hits the same"
    end = f"withdrawn: {why}" if why else "not withdrawn"
    return f"{evidence['compared']} searches beside the champion{same}; {end}"


def section(evidence: Mapping[str, Any]) -> str:
    """A part of the verdict's page: how the challenger and the champion answered the same
    searches."""
    sides = evidence["champion"], evidence["challenger"]
    rows = [
        (words, *("" if side[name] is None else form.format(side[name]) for side in sides))
        for name, (words, form) in _ROWS.items()
    ]
    marks = [evidence["feedback"][side] for side in ("champion", "challenger")]
    if any(marks):
        told = (f"{one.get('right', 0)} right, {one.get('wrong', 0)} wrong" for one in marks)
        rows.append(("what people marked", *told))
    cells = "".join(
        f"<tr><td>{words}</td><td class=n>{one}</td><td class=n>{other}</td></tr>"
        for words, one, other in rows
    )
    return (
        "<section id=trial><h2>On trial beside the champion</h2>"
        f"<p>{html.escape(sentence(evidence))}.</p>"
        "<table><tr><th></th><th class=n>champion</th><th class=n>this version</th></tr>"
        f"{cells}</table></section>\n"
    )
