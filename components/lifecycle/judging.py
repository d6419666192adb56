"""Judges a challenger on today's data, and keeps the verdict as a page for people and as JSON.

verdict.json       everything that the verdict says and was computed from
per_category.csv   the average precision of each category that decided, by version
slices.png         the differences with their bounds, and the margins
index.html         all of this on one page
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components import config, manifest, names, tables
from components.collection import catalog
from components.errors import EidolonError
from components.features.features import Features
from components.files import folder_aside, write_json
from components.learning.intervals import DIGITS
from components.learning.precisions import Rows
from components.lifecycle import marked, verdict_page, verdict_plot
from components.lifecycle.contenders import Contender, Prepared, Today, prepare
from components.lifecycle.gate import (
    KINDS,
    Deciding,
    Decision,
    Difference,
    Precisions,
    Rival,
    decide,
)
from components.paths import ACCEPTED, COLLECTION, DATASET, FEATURES, FEEDBACK, TEXTS


@dataclass(frozen=True)
class Verdict:
    """The decision, a sentence that says why, and figures for the version's tags. A challenger that
    passes and ``leads`` is the best version so far."""

    passed: bool
    reason: str
    figures: dict[str, float]
    leads: bool


@dataclass(frozen=True)
class _Panel:
    """The categories that decide, as ``rows`` of today's features, and what people must know about
    how they were chosen."""

    rows: Rows
    deciding: Deciding
    notes: tuple[str, ...]


def judge(
    challenger: Contender,
    champion: Contender | None,
    best: Contender | None,
    params: config.Params,
    out: Path,
    *,
    features: Path = FEATURES,
    dataset: Path = DATASET,
    accepted: Path = ACCEPTED,
    collection: Path = COLLECTION,
    texts: Path = TEXTS,
) -> Verdict:
    """Compare ``challenger`` with ``champion`` and ``best``, the best version so far, on today's
    features, and write the verdict to the folder ``out``.

    Without a champion, it must only be better than text alone. The marks that people gave, in the
    ``collection``, are shown and decide nothing; ``texts`` is the file of what the service imagined
    for texts. A version that cannot be scored, because its bundle is damaged or a model is gone,
    makes the verdict a refusal. Raises :class:`EidolonError` when today's own data is missing or
    damaged.
    """
    if champion is None or (
        best is not None and best.bundle in (champion.bundle, challenger.bundle)
    ):
        best = None
    today = Today(params, Features.load(features), dataset, accepted)
    rows = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    asked = {"challenger": challenger, "champion": champion, "best": best}
    prepared: dict[str, Prepared] = {}
    for role, contender in asked.items():
        if contender is None:
            continue
        try:
            prepared[role] = prepare(contender, today)
        except EidolonError as error:
            return _refused(f"{contender.name} cannot be compared: {error}", asked, out)
    panel = _panel(today.features, rows, list(prepared.values()), params, collection)
    scores = {role: one.score(panel.rows, params) for role, one in prepared.items()}
    rivals = {role: _rival(role, prepared, scores) for role in ("champion", "best")}
    decision = decide(
        panel.deciding, scores["challenger"], rivals["champion"], rivals["best"], params
    )
    marks = marked.compare(prepared, today, rows, collection / FEEDBACK.name, texts)
    return _told(decision, panel, prepared, scores, today, marks, out)


def _rival(
    role: str, prepared: Mapping[str, Prepared], scores: Mapping[str, Precisions]
) -> Rival | None:
    if role not in prepared:
        return None
    called = {"champion": "the champion", "best": "the best version so far"}[role]
    return Rival(f"{prepared[role].contender.name}, {called}", scores[role])


def _panel(
    found: Features,
    rows: pd.DataFrame,
    versions: list[Prepared],
    params: config.Params,
    collection: Path,
) -> _Panel:
    """The categories that decide: those with gallery pictures that every version can be scored on.

    Seen ones are in the split `train`; the pictures of the gallery are in no training. New ones are
    in the split `gate`. If these are too few for an interval, validation categories join them. What
    any version was trained on is new for none.
    """
    split = found.categories["split"].to_numpy()
    folded = found.categories["category"].map(names.fold)
    pictured = np.isin(np.arange(len(split)), found.labels(found.gallery))
    known = np.logical_and.reduce([pictured, *(one.known for one in versions)])
    trained = folded.isin(frozenset().union(*(one.trained for one in versions))).to_numpy()
    new, notes = (split == "gate") & known & ~trained, []
    if new.sum() < params.evaluate.min_categories:
        notes.append(
            f"only {new.sum()} new categories are kept for the gate (dataset.gate_share), so those"
            " of validation join them: training has chosen epochs and λ by these"
        )
        new |= (split == "validation") & known & ~trained
    seen = (split == "train") & known
    for what, left in (
        (
            "cannot be scored for every version",
            np.isin(split, ("train", "gate")) & pictured & ~known,
        ),
        ("were in the training of an older version", (split == "gate") & trained & known),
    ):
        if left.any():
            notes.append(f"{left.sum()} categories do not decide, because they {what}")
    chosen = np.flatnonzero(seen | new)
    given = folded.isin(_ingested(rows, collection)).to_numpy()
    return _Panel(chosen, Deciding(new[chosen], given[chosen]), tuple(notes))


def _ingested(rows: pd.DataFrame, collection: Path) -> set[str]:
    """The folded names of the categories that have pictures of the collection in the dataset."""
    keys = (
        frame["category"].map(names.fold) + "/" + frame["pixels"]
        for frame in (rows, catalog.read(collection))
    )
    dataset, given = keys
    return set(rows.loc[dataset.isin(set(given)), "category"].map(names.fold))


def _refused(why: str, asked: Mapping[str, Contender | None], out: Path) -> Verdict:
    """The verdict when a version cannot be scored at all."""
    reason = f"{why}; or promote with a reason, without a comparison"
    told: dict[str, Any] = {
        "passed": False,
        "reason": reason,
        "objections": [reason],
        "versions": {role: {"name": one.name} for role, one in asked.items() if one is not None},
        "comparisons": [],
    }
    with folder_aside(out) as aside:
        write_json(aside / "verdict.json", told)
        (aside / "index.html").write_text(verdict_page.render(told, aside, {}))
    return Verdict(False, reason, {}, leads=False)


def _told(
    decision: Decision,
    panel: _Panel,
    prepared: Mapping[str, Prepared],
    scores: Mapping[str, Precisions],
    today: Today,
    marks: Mapping[str, Any],
    out: Path,
) -> Verdict:
    """Write the verdict, and return its summary."""
    frame = _per_category(panel, scores, today.features)
    told: dict[str, Any] = {
        "passed": decision.passed,
        "reason": decision.reason,
        "objections": decision.objections,
        "leads": decision.leads,
        "rules": today.params.gate.model_dump(mode="json")
        | today.params.evaluate.model_dump(mode="json"),
        "data": {
            "gallery": len(today.features.gallery),
            "seen": int((~panel.deciding.new).sum()),
            "new": int(panel.deciding.new.sum()),
            "ingested": int(panel.deciding.ingested.sum()),
        },
        "notes": panel.notes,
        "versions": {
            role: {
                "name": one.contender.name,
                "lambda": one.bundle.aggregator.fusion_weight,
                "notes": one.notes,
                "map": _maps(scores[role], panel.deciding),
            }
            for role, one in prepared.items()
        },
        "gain": _written(decision.gain),
        "comparisons": [
            {
                "against": one.against,
                "overall": _written(one.overall),
                "slices": [_written(part) for part in one.slices],
            }
            for one in decision.comparisons
        ],
        "changes": _changes(frame),
        "marked": marks,
    }
    with folder_aside(out) as aside:
        write_json(aside / "verdict.json", told)
        tables.write(aside / "per_category.csv", frame.round(DIGITS))
        verdict_plot.forest(decision, aside / "slices.png")
        pictures = _pictures(told["changes"], today)
        (aside / "index.html").write_text(verdict_page.render(told, aside, pictures))
    return Verdict(decision.passed, decision.reason, _figures(decision, told), decision.leads)


def _per_category(panel: _Panel, scores: Mapping[str, Precisions], found: Features) -> pd.DataFrame:
    """A row for each category that decides: its average precision by version and query kind.
    ``difference`` is the mean over the kinds of the challenger's less the champion's, or less that
    of text alone when there is no champion."""
    frame = found.categories.iloc[panel.rows].reset_index(drop=True)
    frame["group"] = np.where(panel.deciding.new, "new", "seen")
    frame["ingested"] = panel.deciding.ingested.astype(int)
    for role, one in scores.items():
        for column, kind in enumerate(KINDS):
            frame[f"{role}, {kind}"] = one.fused[:, column]
            frame[f"{role}, {kind}, text alone"] = one.text[:, column]
    ours = scores["challenger"]
    theirs = scores["champion"].fused if "champion" in scores else ours.text
    return frame.assign(difference=(ours.fused - theirs).mean(axis=1))


def _maps(one: Precisions, deciding: Deciding) -> dict[str, float]:
    """The mAP by group and query kind."""
    return {
        f"{group}, {kind}": round(float(one.fused[rows, column].mean()), DIGITS)
        for group, rows in (("seen", ~deciding.new), ("new", deciding.new))
        for column, kind in enumerate(KINDS)
        if rows.any()
    }


def _written(part: Difference) -> dict[str, Any]:
    """A difference as JSON, rounded."""
    values = asdict(part) | {"outcome": part.outcome}
    return {
        k: (round(v, DIGITS) if np.isfinite(v) else None) if isinstance(v, float) else v
        for k, v in values.items()
    }


def _changes(frame: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The categories that gained and lost most, by ``difference``."""
    order = frame.sort_values("difference", kind="stable").round(DIGITS)
    lost = order[order["difference"] < 0].head(verdict_page.SHOWN)
    gained = order[order["difference"] > 0].tail(verdict_page.SHOWN).iloc[::-1]
    columns = ("category", "group", "difference")
    return {
        what: [
            dict(zip(columns, row, strict=True))
            for row in zip(*(some[column] for column in columns), strict=True)
        ]
        for what, some in (("gained", gained), ("lost", lost))
    }


def _pictures(changes: Mapping[str, list[dict[str, Any]]], today: Today) -> dict[str, list[Path]]:
    """The first pictures of the gallery of each category that is shown."""
    shown = today.features.gallery
    return {
        row["category"]: [
            today.dataset / path
            for path in shown.loc[shown["category"] == row["category"], "path"].head(
                verdict_page.PICTURES
            )
        ]
        for some in changes.values()
        for row in some
    }


def _figures(decision: Decision, told: Mapping[str, Any]) -> dict[str, float]:
    """The figures that a version is tagged with, rounded, by name."""
    found = {"gain": decision.gain}
    for role, one in zip(("champion", "best"), decision.comparisons, strict=False):
        found[role] = one.overall
        found |= {f"{role}.{part.name.replace(' ', '_')}": part for part in one.slices}
    figures: dict[str, float] = {}
    for name, part in found.items():
        for bound, value in (("mean", part.mean), ("low", part.low), ("high", part.high)):
            if value is not None and np.isfinite(value):
                figures[f"{name}.{bound}"] = round(value, DIGITS)
    figures |= {f"data.{name}": float(count) for name, count in told["data"].items()}
    return figures | marked.figures(told["marked"])
