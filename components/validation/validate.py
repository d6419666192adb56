"""The stage `validate`: judges the imagined pictures, and regenerates the rejected ones.

data/accepted/                         the accepted pictures, and their manifest.csv
artifacts/validation/report.json       counts, failures, and the categories left to text alone
artifacts/validation/index.html        the rejected pictures with their reasons; links the Data Docs
artifacts/validation/measurements.csv  each picture of each attempt: its numbers, reason and outcome
artifacts/validation/quarantine/       the files of the rejected pictures
artifacts/validation/data_docs/        Great Expectations' own pages
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import config, manifest, tables
from components.errors import EidolonError
from components.features.store import FeatureStore
from components.files import folder_aside, write_json, write_text
from components.imagining.drawing import LazyGenerator
from components.imagining.store import Store
from components.paths import ACCEPTED, DATASET, IMAGINED, VALIDATION
from components.progress import note
from components.validation import page, suites
from components.validation.judge import asked, diversity, limits
from components.validation.likeness import Likeness
from components.validation.measure import Meter
from components.validation.regeneration import Regenerated, regenerate
from components.validation.suites import Failure, Rule, Suite

_QUERY = ["category", "kind"]
_SHOWN = [
    "path",
    "reason",
    "attempt",
    "outcome",
    "resembles",
    "copy_of",
    "clip_margin",
    "category_similarity",
    "view_distance",
    "contrast",
    "sharpness",
]


def validate(
    params: config.Params,
    dataset: Path = DATASET,
    imagined: Path = IMAGINED,
    accepted: Path = ACCEPTED,
    out: Path = VALIDATION,
    store: Store | None = None,
) -> dict[str, Any]:
    """Judge and regenerate the pictures of ``imagined``, and write ``accepted`` and ``out``.

    Returns the report. Raises :class:`EidolonError` after a critical failure. ``out`` describes the
    failure then, and ``accepted`` is not written. DVC removes the old one before the stage runs, so
    no later stage can use it.
    """
    frame = manifest.read(imagined, manifest.IMAGINED_COLUMNS, "dvc repro generate")
    known = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    names = known["category"].unique().tolist()
    meter = Meter(params.encoders, names)
    found = meter.measure([imagined / p for p in frame["path"]], frame.assign(attempt=0))
    generator = LazyGenerator(params.generator)
    likeness = Likeness.kept(FeatureStore())
    regenerated = regenerate(found, params.validation, generator, meter, store or Store(), likeness)
    likeness.save()
    note(f"validate: {meter.encoded:,} of {meter.measured:,} pictures measured anew")
    note(f"validate: {likeness.compared:,} pictures compared with all others")
    last = regenerated.last
    categories = diversity(asked(names, last), last, regenerated.measured)
    categories["text_only"] = categories["accepted"] < params.validation.min_accepted
    alone = pd.MultiIndex.from_frame(categories.loc[categories["text_only"], _QUERY])
    sound = last["reason"] == ""
    fine = sound & ~pd.MultiIndex.from_frame(last[_QUERY]).isin(alone)
    outcome = np.where(fine, "accepted", np.where(sound, "left to text", "quarantined"))
    with folder_aside(out) as aside:
        judged = _suites(regenerated, categories, params.validation, params.generator.size)
        failures = suites.run(judged, aside / "data_docs")
        report = _report(regenerated, categories, failures)
        _write_findings(regenerated, outcome, failures, aside)
        write_json(aside / "report.json", report)
    if report["critical"]:
        raise EidolonError(
            f"validation of the imagined pictures failed: {'; '.join(report['critical'])}. See"
            f" {out}/index.html, then change the generator or the limits in params.yaml"
        )
    kept = last.loc[fine, [*manifest.ACCEPTED_COLUMNS]]
    _accept(kept, compress(regenerated.measured.files, fine), accepted)
    return report


def _accept(rows: pd.DataFrame, files: Iterable[Path], accepted: Path) -> None:
    """Write ``accepted``: the ``files`` by the paths of their ``rows``, and their manifest."""
    with folder_aside(accepted) as aside:
        for file, path in zip(files, rows["path"], strict=True):
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, aside / path)
        manifest.write(aside, rows)


def _write_findings(
    regenerated: Regenerated, outcome: npt.NDArray[np.str_], failures: list[Failure], folder: Path
) -> None:
    """Write measurements.csv, quarantine/ and index.html into ``folder``, which has the Data Docs.

    ``outcome`` (N,) is what became of each picture of ``regenerated.last``.
    """
    measurements = pd.concat(
        [
            regenerated.replaced.assign(outcome="redrawn"),
            regenerated.last.assign(outcome=outcome),
        ]
    )
    rejected = (measurements["reason"] != "").to_numpy()
    files = list(compress([*regenerated.files, *regenerated.measured.files], rejected))
    _quarantine(measurements[rejected], files, folder / "quarantine")
    shown = page.render(
        "Validation of the imagined pictures",
        [(f.severity, f.sentence) for f in failures],
        measurements.loc[rejected, _SHOWN],
        files,
        folder / "data_docs",
    )
    write_text(folder / "index.html", shown)
    tables.write(folder / "measurements.csv", measurements.sort_values(["path", "attempt"]))


def _quarantine(rows: pd.DataFrame, files: Sequence[Path], folder: Path) -> None:
    """Copy the rejected ``files`` unchanged, named after the path and attempt of their rows."""
    for file, path, attempt in zip(files, rows["path"], rows["attempt"], strict=True):
        kept = folder / f"{Path(path).with_suffix('')}-{attempt}.png"
        kept.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            shutil.copyfile(file, kept)


def _suites(
    regenerated: Regenerated, categories: pd.DataFrame, params: config.Validate, size: int
) -> list[Suite]:
    checks = limits(params, size)

    def rules(severity: suites.Severity) -> list[Rule]:
        return [Rule(c.column, c.low, c.high, c.reason, severity, params.mostly) for c in checks]

    share = 1 - params.max_text_only
    return [
        Suite("pictures as imagined", regenerated.first, "path", rules("warning")),
        Suite("pictures after regeneration", regenerated.last, "path", rules("critical")),
        Suite(
            "categories",
            categories,
            "query",
            [
                Rule("accepted", params.min_accepted, None, "left to text alone", "warning"),
                Rule("text_only", None, 0, "left to text alone, too many", "critical", share),
                Rule("diversity", params.min_diversity, None, "pictures all alike", "warning"),
            ],
        ),
    ]


def _report(
    regenerated: Regenerated, categories: pd.DataFrame, failures: list[Failure]
) -> dict[str, Any]:
    first, last = regenerated.first["reason"], regenerated.last["reason"]
    critical = [f.sentence for f in failures if f.severity == "critical"]
    return {
        "success": not critical,
        "critical": critical,
        "warnings": [f.sentence for f in failures if f.severity != "critical"],
        "pictures": len(last),
        "offending": first[first != ""].value_counts().sort_index().to_dict(),
        "redrawn": len(regenerated.replaced),
        "quarantined": last[last != ""].value_counts().sort_index().to_dict(),
        "accepted": int(categories.loc[~categories["text_only"], "accepted"].sum()),
        "fewest_accepted": int(categories["accepted"].min()),
        "text_only": categories.loc[categories["text_only"], "query"].tolist(),
    }
