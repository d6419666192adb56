"""The stage `validate`: Great Expectations decides which imagined pictures may be used.

A picture outside a threshold is left out; when too many are, or a category keeps too few, the stage
fails and the pipeline stops before training. The one home of great_expectations.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

import pandas as pd

from components import config, manifest
from components.errors import EidolonError
from components.files import folder_aside, write_json
from components.measure import measure
from components.paths import DATASET, IMAGINED, VALIDATION


def judge(rows: pd.DataFrame, params: config.Validation, size: int) -> pd.Series:
    """Why each measured picture is left out; an empty string where it is not.

    The thresholds are those of the suite, applied to single pictures.
    """
    reasons = {
        "does not decode": ~rows["decodes"],
        "differs from its manifest": ~rows["intact"],
        "has the wrong size": (rows["width"] != size) | (rows["height"] != size),
        "is blank": rows["std"] < params.min_std,
        "is blurred": rows["sharpness"] < params.min_sharpness,
        "is a copy": rows["nearest"] <= params.max_hamming,
    }
    result = pd.Series("", index=rows.index)
    for reason, fails in reasons.items():
        result = result.mask(fails & (result == ""), reason)
    return result


def validate(
    params: config.Validation,
    size: int,
    dataset: Path = DATASET,
    imagined: Path = IMAGINED,
    out: Path = VALIDATION,
) -> dict[str, object]:
    """Run the checkpoint over ``imagined`` and write report, Data Docs and the accepted rows.

    Raises :class:`EidolonError` when an expectation fails; ``out`` holds the Data Docs then too.
    """
    frame = manifest.read(imagined, manifest.IMAGINED_COLUMNS, "dvc repro generate")
    names = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")["category"]
    rows = measure(imagined, frame)
    rows["reason"] = judge(rows, params, size)
    kept = rows.loc[rows["reason"] == ""].groupby("category").size()
    counts = kept.reindex(names.unique(), fill_value=0).rename("accepted").reset_index()
    counts.columns = pd.Index(["category", "accepted"])
    with folder_aside(out) as aside:
        failed = _checkpoint(rows, counts, params, size, aside / "data_docs")
        report: dict[str, object] = {
            "success": not failed,
            "failed": failed,
            "pictures": len(rows),
            "accepted": int(counts["accepted"].sum()),
            "rejected": rows.loc[rows["reason"] != "", "reason"].value_counts().to_dict(),
            "fewest_accepted": int(counts["accepted"].min()),
        }
        rows.to_csv(aside / "measurements.csv", index=False)
        write_json(aside / "report.json", report)
    if failed:
        raise EidolonError(
            f"validation of the imagined pictures failed: {'; '.join(failed)}."
            f" See {out}/data_docs/index.html, then change the generator or the thresholds in"
            " params.yaml"
        )
    return report


def accepted(imagined: Path = IMAGINED, validation: Path = VALIDATION) -> pd.DataFrame:
    """The rows of the imagined pictures' manifest that validation left in."""
    path = validation / "measurements.csv"
    try:
        rows = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise EidolonError(f"cannot read {path} ({error}): run `dvc repro validate`") from None
    frame = manifest.read(imagined, manifest.IMAGINED_COLUMNS, "dvc repro generate")
    fine = set(rows.loc[rows["reason"] == "", "path"])
    return frame[frame["path"].isin(fine)].reset_index(drop=True)


def _checkpoint(
    rows: pd.DataFrame, counts: pd.DataFrame, params: config.Validation, size: int, docs: Path
) -> list[str]:
    """Run both suites in a throw-away file context, keep its Data Docs, return what failed."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    import great_expectations.expectations as gxe

    mostly = params.mostly
    suites = {
        "imagined pictures": [
            gxe.ExpectColumnValuesToBeInSet(column="decodes", value_set=[True], mostly=mostly),
            gxe.ExpectColumnValuesToBeInSet(column="intact", value_set=[True]),
            gxe.ExpectColumnValuesToBeInSet(column="width", value_set=[size], mostly=mostly),
            gxe.ExpectColumnValuesToBeInSet(column="height", value_set=[size], mostly=mostly),
            gxe.ExpectColumnValuesToBeBetween(
                column="std", min_value=params.min_std, mostly=mostly
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="sharpness", min_value=params.min_sharpness, mostly=mostly
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="nearest", min_value=params.max_hamming + 1, mostly=mostly
            ),
        ],
        "categories": [
            gxe.ExpectColumnValuesToBeBetween(column="accepted", min_value=params.min_accepted)
        ],
    }
    frames = {"imagined pictures": rows, "categories": counts}
    identify = {"imagined pictures": "path", "categories": "category"}
    failed = []
    with tempfile.TemporaryDirectory() as project:
        context = gx.get_context(mode="file", project_root_dir=project)
        context.variables.progress_bars = {"globally": False}
        source = context.data_sources.add_pandas("eidolon")
        for name, expectations in suites.items():
            batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
            suite = context.suites.add(gx.ExpectationSuite(name, expectations=expectations))
            definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
            checkpoint = context.checkpoints.add(
                gx.Checkpoint(
                    name=name,
                    validation_definitions=[context.validation_definitions.add(definition)],
                    actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
                    result_format={
                        "result_format": "COMPLETE",
                        "unexpected_index_column_names": [identify[name]],
                    },
                )
            )
            outcome = checkpoint.run(batch_parameters={"dataframe": frames[name]})
            for result in outcome.run_results.values():
                failed += [_sentence(r) for r in result.results if not r.success]
        built = Path(project) / "gx" / "uncommitted" / "data_docs" / "local_site"
        shutil.copytree(built, docs)
    return failed


def _sentence(result: object) -> str:
    """One failed expectation in words, with up to three of the offending rows."""
    found = result.to_json_dict()  # type: ignore[attr-defined]
    settings, detail = found["expectation_config"], found["result"]
    listed = detail.get("unexpected_index_list") or []
    rows = [row.get("path") or row.get("category") for row in listed[:3]]
    shown = f", such as {', '.join(map(str, rows))}" if rows else ""
    count = detail.get("unexpected_count", "?")
    bound = settings["kwargs"]
    wanted = bound.get("value_set") or f"at least {bound.get('min_value')}"
    return f"{bound['column']} should be {wanted} but {count} are not{shown}"
