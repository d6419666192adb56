"""Free text as a benchmark: `python -m benchmarks.texts` asks the service texts of many kinds.

It must hold for each kind that fused beats text, or that the service says that it did not
understand the text. The tables print which of the two holds, or that neither does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.apart import served_apart
from benchmarks.marked import judged, marked
from benchmarks.rankings import MEASURES, MODES, Figures, Measured, figures, measured
from benchmarks.wordings import MISSPELT, Wording, wordings
from components import config, manifest, tables
from components.api.client import Client
from components.api.messages import Hit
from components.errors import EidolonError, one_sentence
from components.files import write_json
from components.learning.intervals import DIGITS, bootstrap
from components.monitoring import feedback
from components.paths import CONFIDENCE, DATASET
from components.progress import track

ENOUGH = 0.95
"""Of the texts of which fused is no better than text, the share of which the service must say that
it did not understand them."""

BEATS, SAYS, NEITHER, FEW = (
    "fused beats text",
    "says so",
    "neither",
    "too few texts to tell",
)


def asked(client: Client, texts: Sequence[Wording]) -> Iterator[Measured]:
    """Ask the service for each of ``texts``."""
    pictures = {row["category"]: int(row["pictures"]) for row in client.categories()}
    for one in track(texts, "texts", "texts"):
        every = sum(pictures[name] for name in one.right)

        def enough(hits: Sequence[Hit], one: Wording = one, every: int = every) -> bool:
            return sum(hit.category in one.right for hit in hits) == every

        def judge(hits: Sequence[Hit], total: int, one: Wording = one) -> Figures:
            return figures([hit.category in one.right for hit in hits], total)

        found = measured(client, one.kind, one.text, enough, judge, one.exclude)
        yield found
        if one.kind == MISSPELT:  # what a person gets who follows the suggestion
            meant = found.suggestion or one.text
            yield measured(client, f"{MISSPELT}, as suggested", meant, enough, judge)


def summary(found: Sequence[Measured], rules: config.Evaluate) -> dict[str, Any]:
    """The figures of texts of one kind.

    ``figures`` has the mean of each measure by mode, and ``gain`` the paired difference of fused
    and text with its 95 % bootstrap interval over texts. The shares are of all texts, and
    ``said_of_no_better`` of the texts whose mAP is ``no_better`` fused than by text.
    """
    no_better = [one for one in found if one.gain[MEASURES[0]] <= 0]
    gain = {
        measure: bootstrap(
            np.array([one.gain[measure] for one in found], dtype=np.float64),
            samples=rules.bootstrap,
            seed=rules.seed,
            least=rules.min_categories,
        ).figures()
        for measure in MEASURES
    }
    said = _mean([one.said for one in no_better])
    return {
        "texts": len(found),
        "figures": {
            measure: {mode: _mean([one.figures[mode][measure] for one in found]) for mode in MODES}
            for measure in MEASURES
        },
        "gain": gain,
        "not_relevant": _mean([not one.relevant for one in found]),
        "unknown_words": _mean([bool(one.unknown) for one in found]),
        "suggested": _mean([one.suggestion is not None for one in found]),
        "by_text": _mean([one.mode == "text" for one in found]),
        "no_better": len(no_better),
        "said_of_no_better": said,
        "holds": _holds(gain[MEASURES[0]], said),
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return round(float(np.mean(known)), DIGITS) if known else float("nan")


def _holds(gain: dict[str, float], said: float) -> str:
    if gain.get("low", 0.0) > 0:
        return BEATS
    if said >= ENOUGH:
        return SAYS
    return NEITHER if "low" in gain else FEW


def show(kinds: dict[str, dict[str, Any]], console: Console) -> None:
    """Print a table of figures and one of what the service says."""
    table = Table("texts", "", "measure", "text", "imagined", "fused", "served", "fused - text")
    for kind, one in kinds.items():
        for measure, means in one["figures"].items():
            first = measure == MEASURES[0]
            cells = [f"{means[mode]:.3f}" for mode in MODES]
            head = (kind, str(one["texts"])) if first else ("", "")
            table.add_row(*head, measure, *cells, _shown(one["gain"][measure]))
    console.print(table)
    heads = "texts", "nothing fits", "unknown words", "suggested", "by text"
    table = Table(*heads, "no better", "of these said")
    table.add_column("holds")
    for kind, one in kinds.items():
        names = ("not_relevant", "unknown_words", "suggested", "by_text")
        shares = [f"{one[name]:.2f}" for name in names]
        said = f"{one['said_of_no_better']:.2f}" if one["no_better"] else ""
        table.add_row(kind, *shares, str(one["no_better"]), said, one["holds"])
    console.print(table)


def _shown(gain: dict[str, float]) -> str:
    if "mean" not in gain:
        return ""
    interval = f" [{gain['low']:+.3f}, {gain['high']:+.3f}]" if "low" in gain else ""
    return f"{gain['mean']:+.3f}{interval}"


def report(found: Sequence[Measured], rules: config.Evaluate) -> dict[str, Any]:
    """The summary of each kind, and every text with its figures."""
    ordered = sorted(found, key=lambda one: [other.kind for other in found].index(one.kind))
    groups = groupby(ordered, key=lambda one: one.kind)
    return {
        "kinds": {kind: summary(list(group), rules) for kind, group in groups},
        "texts": [vars(one) for one in found],
    }


def main(
    count: Annotated[int, typer.Option(help="texts of each kind, at most", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="another seed chooses other texts")] = 0,
    marks: Annotated[
        Path | None, typer.Option(help="a table of marks, such as collection/feedback.csv, instead")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="the JSON file to write all figures to")] = None,
) -> None:
    """Ask a Bento of the bundle free texts, and print how good its answers are, by kind."""
    params = config.load()
    if marks is None and params.dataset.adapter != "emblems":
        raise EidolonError("these texts are about the embedded world: give --marks FILE")
    if marks is not None and not marks.is_file():
        raise EidolonError(f"{marks} is missing: give a table of marks, as `monitor` keeps it")
    with served_apart(params.serve) as url, Client(url) as client:
        found = people(client, marks) if marks else made(client, count, seed)
    if not found:
        raise EidolonError("there is no text to ask: give more marks of pictures in the gallery")
    told = report(found, params.evaluate)
    show(told["kinds"], Console(width=130))
    if out is not None:
        write(out, told)


def write(path: Path, told: dict[str, Any]) -> None:
    """Write a :func:`report` as JSON."""
    write_json(path, _known(told))


def _known(value: Any) -> Any:
    """``value`` as JSON can hold it: ``None`` for what is not a number."""
    if isinstance(value, dict):
        return {key: _known(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_known(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def made(client: Client, count: int, seed: int) -> list[Measured]:
    """The texts that are made for the embedded world, measured. Raises :class:`EidolonError`
    without the stage `calibrate`."""
    listed = client.categories()
    fitted = tables.read(CONFIDENCE / "fitted.csv", ["words"], "run `make run`")["words"]
    texts = wordings(
        [row["category"] for row in listed],
        [row["category"] for row in listed if row["split"] == "unseen"],
        set(fitted),
        count,
        seed,
    )
    return list(asked(client, texts))


def people(client: Client, marks: Path) -> list[Measured]:
    """The texts that people marked pictures of, measured. Raises :class:`EidolonError` without the
    dataset, and for a damaged table."""
    pictures = manifest.read(DATASET, manifest.DATASET_COLUMNS, "dvc repro dataset")
    pictures = pictures[pictures["subset"] == "gallery"]
    paths = dict(zip(pictures["pixels"], pictures["path"], strict=True))
    return list(marked(client, judged(feedback.read(marks), paths)))


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
