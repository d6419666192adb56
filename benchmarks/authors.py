"""Is our evaluation of the authors' features right? `python -m benchmarks.authors`.

No real features are needed. Made ones have the shapes of the authors' 15 sets, and a million
pictures stand for a gallery of the size of ImageNet's training set. Each set is written in the
authors' layout, evaluated as `eidolon evaluate-features` does, and evaluated again by the
definition. It says nothing about how well the method ranks: the features are made up.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import reference
from benchmarks.peak import watched
from benchmarks.published import MILLION, SHAPES, Made, Shape, size, write, write_checkpoint
from benchmarks.published import file_name as filed_as
from components.authors import layout
from components.authors.checkpoint import load
from components.authors.choices import Method, TextModel, VisionModel
from components.authors.evaluation import mean_average_precisions
from components.errors import EidolonError, one_sentence
from components.learning.aggregator import Aggregator
from components.progress import note, track

TOLERANCE = 1e-9
"""The largest difference of an mAP. Both sides compute in float64; only two scores that are equal
to their last digits may change places."""
SPARE = 2**30  # bytes that stay free on the disk


@dataclass(frozen=True)
class Checked:
    """The result of one set and kind of query."""

    name: str
    shape: Shape
    kind: Method
    found: dict[str, float]
    """Our mAP by column."""
    expected: dict[str, float]
    """The mAP by the definition."""
    seconds: float
    """The time of our evaluation."""
    processor: float
    """The processor time of our evaluation in seconds, which other work on the machine leaves as it
    is."""
    memory: int
    """The peak memory of our evaluation, in MiB."""

    @property
    def difference(self) -> float:
        """The largest difference of a column; infinite when the columns are not the same."""
        if list(self.found) != list(self.expected):
            return np.inf
        gaps = [abs(self.found[column] - self.expected[column]) for column in self.expected]
        return float(np.max(gaps))  # NaN if one is NaN

    @property
    def wrong(self) -> bool:
        """Whether the difference is larger than the tolerance, or no number."""
        return not self.difference <= TOLERANCE


def cases(sets: list[str], kinds: list[Method]) -> list[tuple[str, list[Method]]]:
    """Each set with its kinds of queries. The million pictures are searched by one kind, since
    kinds differ in the files of the queries alone."""
    return [(name, kinds[:1] if name == MILLION else kinds) for name in sets]


def check(
    name: str,
    shape: Shape,
    kinds: list[Method],
    aggregator: Path,
    weights: Mapping[str, np.ndarray],
) -> Iterator[Checked]:
    """Make a set in a temporary folder, and check each of ``kinds``. The folder is removed.

    ``aggregator`` is the checkpoint of ``weights``. Raises :class:`EidolonError` when the disk has
    too little space.
    """
    with tempfile.TemporaryDirectory(prefix="eidolon-authors-") as place:
        free = shutil.disk_usage(place).free
        if free < size(shape) + SPARE:
            raise EidolonError(
                f"{name} needs {size(shape) / 2**30:.1f} GiB in {tempfile.gettempdir()}, and"
                f" {free / 2**30:.1f} GiB are free: set TMPDIR to a larger disk, or leave the set"
                " out with --sets"
            )
        note(f"{name}: {shape.classes:,} x {shape.gallery:,}, {size(shape) / 2**30:.2f} GiB")
        made = write(Path(place), name, shape, kinds)
        network = load(aggregator)
        for kind in kinds:
            began, before = time.monotonic(), time.process_time()
            with watched() as memory:
                found = _ours(Path(place), name, kind, network)
            took, work = time.monotonic() - began, time.process_time() - before
            expected = _by_definition(made, kind, weights)
            yield Checked(name, shape, kind, found, expected, took, work, memory[0])


def _ours(root: Path, name: str, kind: Method, aggregator: Aggregator) -> dict[str, float]:
    """What `eidolon evaluate-features` computes for a set."""
    files = layout.files(root, filed_as(name), TextModel.CLIP, VisionModel.DINO, kind)
    return mean_average_precisions(layout.load(files), aggregator)


def _by_definition(made: Made, kind: Method, weights: Mapping[str, np.ndarray]) -> dict[str, float]:
    queries = made.queries[kind]
    return reference.columns(
        [queries.texts[name] for name in made.names],
        [queries.images[name] for name in made.names],
        made.gallery_text,
        made.gallery_vision,
        made.labels,
        weights,
    )


def table(checked: list[Checked]) -> Table:
    """One row for each set and kind: our figures, and how far they are from the definition."""
    columns = list(checked[0].expected)
    shown = Table(title="mAP of made features, and the largest difference from the definition")
    for heading in (
        "set",
        "queries x pictures",
        "kind",
        *columns,
        "difference",
        "s",
        "CPU s",
        "MiB",
    ):
        shown.add_column(heading, justify="left" if heading in ("set", "kind") else "right")
    for one in checked:
        shown.add_row(
            one.name,
            f"{one.shape.classes:,} x {one.shape.gallery:,}",
            one.kind,
            *(f"{one.found.get(column, np.nan):.4f}" for column in columns),
            f"{one.difference:.0e}",
            f"{one.seconds:.1f}",
            f"{one.processor:.1f}",
            f"{one.memory:,}",
        )
    return shown


def main(
    sets: Annotated[
        list[str] | None, typer.Option(help="a set; give it again for another (default: all)")
    ] = None,
    kinds: Annotated[
        list[Method] | None,
        typer.Option(help="what queries contain; give it again for another (default: all)"),
    ] = None,
) -> None:
    """Check our evaluation of the authors' features on made ones of the published shapes
    (docs/evaluation.md). The exit status is 1 when a figure differs from the definition."""
    if unknown := [name for name in sets or [] if name not in SHAPES]:
        raise EidolonError(f"there is no set '{unknown[0]}': --sets takes {', '.join(SHAPES)}")
    chosen = cases(sets or list(SHAPES), kinds or list(Method))
    checked: list[Checked] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="eidolon-authors-") as place:
        aggregator = Path(place) / "model.pth"
        weights = write_checkpoint(aggregator)
        for name, asked in track(chosen, "check", "million scores", _million_scores):
            checked += check(name, Shape(*SHAPES[name]), asked, aggregator, weights)
    Console(width=150).print(table(checked))
    wrong = [f"{one.name} by {one.kind}" for one in checked if one.wrong]
    figures = sum(len(one.expected) for one in checked)
    took = f"{time.monotonic() - began:.0f} s, {time.process_time():.0f} s of a processor"
    print(f"{figures} figures of {len(chosen)} sets in {took}")
    if wrong:
        print(f"wrong: {', '.join(wrong)}: more than {TOLERANCE} off", file=sys.stderr)
        sys.exit(1)


def _million_scores(case: tuple[str, list[Method]]) -> int:
    name, kinds = case
    classes, gallery = SHAPES[name]
    return 1 + classes * gallery * len(kinds) // 10**6


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
