"""Checks the dataset as a whole: whether it is fit to train and evaluate a model on.

Each new picture is compared with all others, and each category with the champion's dataset. This is
not a stage of dvc.yaml, because it asks the registry for the champion. It writes
artifacts/inspection: report.json, index.html, measurements.csv and Great Expectations' data_docs/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components import config, manifest, tables
from components.errors import EidolonError
from components.files import folder_aside, read_json, write_json, write_text
from components.images.hashing import SIDE
from components.images.looks import Looks
from components.paths import COMPARED, DATASET, INSPECTION, KNOWN
from components.progress import note, track
from components.validation import compared, page, suites
from components.validation.duplicates import KINDS, Details, Search, made_by
from components.validation.limit import mark
from components.validation.suites import Failure, Rule, Suite

_COMPARED = ("category", "split")  # what is compared with the dataset of the champion
_AT_ONCE = 4096  # files whose looks are looked up together
_SHOWN = ("path", "source", "category", "subset", "reason", "like", "width", "height", *KINDS)


def inspect(
    params: config.Inspect,
    before: str | None,
    dataset: Path = DATASET,
    out: Path = INSPECTION,
) -> dict[str, Any]:
    """Check ``dataset``, and compare it with an earlier one, whose manifest.csv is ``before``.

    Returns the report, or the last report if nothing has changed. Raises :class:`EidolonError`
    after a critical failure, which ``out`` describes.
    """
    rows = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    asked = "\n".join([tables.text(rows), params.model_dump_json(), before or ""])
    digest = hashlib.sha256(asked.encode()).hexdigest()
    report: dict[str, Any]
    if (out / "report.json").is_file():
        report = read_json(out / "report.json", "remove it")
        if report["digest"] == digest and report["success"]:
            return report
    old = None
    if before is not None:
        old = manifest.kept(before, _COMPARED, "the champion's lineage/dataset.csv")
    looked, categories = measure(dataset, rows, params), compare(rows, old)
    of_pictures = of_a_picture(params)
    marked = _marked(looked, of_pictures)
    with folder_aside(out) as aside:
        failures = suites.run(
            [
                Suite("pictures of the dataset", looked, "path", of_pictures),
                Suite("categories of the dataset", categories, "category", _of_a_category(params)),
                Suite("the dataset", summarise(categories, old), "dataset", _of_all(params)),
            ],
            aside / "data_docs",
        )
        critical = [f.sentence for f in failures if f.severity == "critical"]
        report = {
            "success": not critical,
            "critical": critical,
            "warnings": [f.sentence for f in failures if f.severity != "critical"],
            "pictures": len(looked),
            "categories": int((categories["pictures"] > 0).sum()),
            "compared": before is not None,
            "digest": digest,
        }
        write_text(aside / "index.html", _page(failures, marked, dataset, aside / "data_docs"))
        tables.write(aside / "measurements.csv", marked)
        write_json(aside / "report.json", report)
    if critical:
        raise EidolonError(
            f"the dataset is not fit to train on: {'; '.join(critical)}. See {out}/index.html, then"
            " correct the dataset, or change the limits under `inspect` in params.yaml"
        )
    return report


def _page(failures: list[Failure], marked: pd.DataFrame, dataset: Path, docs: Path) -> str:
    """The page with the ``failures`` and the rejected pictures among ``marked``."""
    rejected = marked.loc[marked["reason"] != "", [*_SHOWN]]
    return page.render(
        "Inspection of the dataset",
        [(f.severity, f.sentence) for f in failures],
        rejected,
        [dataset / path for path in rejected["path"]],
        docs,
    )


def _marked(looked: pd.DataFrame, rules: list[Rule]) -> pd.DataFrame:
    """``looked`` with the ``reason`` why a picture is rejected, and the picture it is ``like``."""
    marked = looked.assign(reason="", like="")
    for rule in rules:
        new = rule.broken(marked) & (marked["reason"] == "")
        if rule.column in KINDS:
            marked.loc[new, "like"] = marked.loc[new, f"{rule.column}_of"]
        mark(marked, rule)
    return marked


def measure(
    dataset: Path,
    rows: pd.DataFrame,
    params: config.Inspect,
    known: Path = KNOWN,
    *,
    everywhere: bool = False,
) -> pd.DataFrame:
    """Measure each picture of ``dataset``: one row per row of its manifest, ``rows``.

    The columns are path, category, subset, source, ``decodes``, ``width``, ``height``, and the
    colour difference at 8x8 pixels to the most similar picture: of the same category and subset
    (``copy``), of the category's other subset (``leak``), of another category (``label``), and of
    another category with the same outline by the difference hash (``near``). A difference is NaN if
    no picture is within the limit of its rule (:class:`components.validation.duplicates.Search`),
    or, with ``everywhere``, if there is none to compare with. The columns ``copy_of`` and so on
    give that picture's source, or its path if it was drawn.

    Only pictures whose content ``known`` does not have are decoded. A file beside it has what was
    compared: only what is new, or in another category than before, is compared with all.
    """
    files = [dataset / path for path in rows["path"]]
    seen, digests, small, outlines, new = _seen(files, known)
    table = rows[["path", "category", "subset", "source"]].reset_index(drop=True).join(seen)
    fine = np.flatnonzero(table["decodes"])
    details = Details(
        [files[i] for i in fine],
        [digests[i] for i in fine],
        params.near_duplicate_distance,
        known,
    )
    search = Search(
        small[fine],
        outlines[fine],
        pd.factorize(table["category"].iloc[fine])[0],
        pd.factorize(table["subset"].iloc[fine])[0],
        compared.keys_of([digests[i] for i in fine], table["category"].iloc[fine]),
        details,
        params,
    )
    told = f"inspect: {len(files):,} pictures, {new:,} of them new"
    if everywhere:
        note(told)
        found = search.everywhere()
    else:
        kept, limits = known.with_name(COMPARED.name), made_by(params)
        before = compared.read(kept, limits).among(search.unique)
        note(f"{told}; {before.new.sum():,} compared with all")
        found, now = search.run(before)
        compared.write(kept, now, limits)
    details.save()
    called = table["path"].where(table["source"] == "", table["source"]).to_numpy(dtype=object)
    for name, values in found.apart.items():
        there = np.isfinite(values)
        table[name], table[f"{name}_of"] = np.nan, ""
        table.loc[fine, name] = np.where(there, values, np.nan)
        table.loc[fine, f"{name}_of"] = np.where(there, called[fine][found.of[name]], "")
    return table


def _seen(
    files: Sequence[Path], known: Path
) -> tuple[pd.DataFrame, list[str], npt.NDArray[np.uint8], npt.NDArray[np.uint64], int]:
    """What is seen of N pictures: ``decodes``, ``width`` and ``height``, and for those that decode
    the hash of their content, the thumbnail (N, 192) and the outline (N,). Last, how many contents
    were not known."""
    looks = Looks(known, own=True)
    found: list[tuple[bool, float, float]] = []
    digests = [""] * len(files)
    outlines = np.zeros(len(files), dtype=np.uint64)
    small = np.zeros((len(files), 3 * SIDE * SIDE), dtype=np.uint8)
    for i, file in enumerate(track(files, "inspect", "pictures")):
        if i % _AT_ONCE == 0:
            looks.expect(files[i : i + _AT_ONCE])
        try:
            digests[i] = looks.sha256(file)
            seen = looks.known(digests[i], file)
        except EidolonError:
            found.append((False, np.nan, np.nan))
            continue
        small[i], outlines[i] = seen.thumbnail, seen.outline
        found.append((True, seen.width, seen.height))
    looks.save()
    table = pd.DataFrame(found, columns=["decodes", "width", "height"])
    return table, digests, small, outlines, len(looks.new)


def compare(rows: pd.DataFrame, before: pd.DataFrame | None) -> pd.DataFrame:
    """One row per category of the manifest ``rows`` or of the earlier one, ``before``.

    ``gallery``, ``training`` and ``pictures`` count its pictures. ``training`` is NaN in the splits
    `unseen` and `gate`, which need none. ``splits`` counts its splits. ``before`` is the earlier
    number of pictures, ``change`` the share by which it changed, and ``moved`` whether its split
    changed.
    """
    of = rows.groupby("category")
    table = pd.DataFrame(
        {
            "gallery": (rows["subset"] == "gallery").groupby(rows["category"]).sum(),
            "training": (rows["subset"] == "training").groupby(rows["category"]).sum(),
            "pictures": of.size(),
            "splits": of["split"].nunique(),
        }
    )
    table["training"] = table["training"].mask(of["split"].first().isin(["unseen", "gate"]))
    if before is None:
        return table.assign(before=np.nan, change=np.nan, moved=False).reset_index()
    last = before.groupby("category")
    table = table.join(last.size().rename("before"), how="outer")
    table["change"] = (table["pictures"].fillna(0) / table["before"] - 1).abs()
    splits = pd.concat([of["split"].first(), last["split"].first()], axis=1).reindex(table.index)
    table["moved"] = (splits.iloc[:, 0] != splits.iloc[:, 1]) & splits.notna().all(axis=1)
    return table.rename_axis("category").reset_index()


def summarise(categories: pd.DataFrame, before: pd.DataFrame | None) -> pd.DataFrame:
    """One row about the whole dataset, compared with ``before``.

    ``lost`` is the share of the earlier categories that are gone, and ``new`` the number of new
    ones. ``drift`` is half the sum of the absolute changes of the categories' shares of all
    pictures.
    """
    now = categories["pictures"].fillna(0)
    row: dict[str, Any] = {"dataset": "now", "lost": np.nan, "new": np.nan, "drift": np.nan}
    if before is not None:
        then = categories["before"].fillna(0)
        row["lost"] = float((now[then > 0] == 0).mean())
        row["new"] = int(((now > 0) & (then == 0)).sum())
        row["drift"] = float((now / now.sum() - then / then.sum()).abs().sum() / 2)
    return pd.DataFrame([row])


def of_a_picture(params: config.Inspect) -> list[Rule]:
    """The rules for each picture of the dataset."""
    close, mostly = params.copy_colour_distance, params.mostly
    return [
        Rule("decodes", 1, None, "does not decode", "critical"),
        Rule("width", params.min_side, None, "is too small", "warning"),
        Rule("height", params.min_side, None, "is too small", "warning"),
        Rule("label", close, None, "is in another category too", "critical", mostly),
        Rule("leak", close, None, "is in gallery and training", "critical", mostly),
        Rule(
            "near",
            params.near_copy_factor * close,
            None,
            "nearly is in another category too",
            "warning",
        ),
        Rule("copy", close, None, "is there twice", "warning"),
    ]


def _of_a_category(params: config.Inspect) -> list[Rule]:
    return [
        Rule("gallery", params.min_gallery, None, "has too few gallery pictures", "warning"),
        Rule("training", 1, None, "has no training pictures", "warning"),
        Rule("splits", 1, 1, "is in several splits", "critical"),
        Rule("moved", None, 0, "moved to another split", "warning"),
        Rule("change", None, params.max_change, "grew or shrank much", "warning"),
    ]


def _of_all(params: config.Inspect) -> list[Rule]:
    return [
        Rule("lost", None, params.max_lost, "too many categories are gone", "critical"),
        Rule("drift", None, params.max_drift, "the categories' shares shifted", "warning"),
        Rule("new", None, 0, "there are new categories", "info"),
    ]
