"""The verb `tune`: what quality costs, and the settings for a budget."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import config
from components.cli.models import PANEL

if TYPE_CHECKING:
    from components.tuning.tune import Tuned

verbs = typer.Typer()

_NUMBERS = (
    *("K", "steps", "guid-\nance", "λ", "mAP", "95 %", "accep-\nted"),
    *("s per\nquery", "s per\ncateg.", "kB per\ncateg."),
)


@verbs.command(rich_help_panel=PANEL)
def tune(
    seconds: Annotated[
        float | None,
        typer.Option(help="most seconds to draw and encode the K pictures of a new query"),
    ] = None,
    category_seconds: Annotated[
        float | None, typer.Option(help="most seconds to draw and encode those of a category")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="mAP that the choice must be shown not to lose against the best; by default"
            " gate.slice_margin"
        ),
    ] = None,
    counts: Annotated[
        str | None, typer.Option(help="values of K, such as 2,4,8; by default around yours")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="denoising steps, such as 4,8; by default around yours")
    ] = None,
    guidance: Annotated[
        str | None, typer.Option(help="guidance scales, such as 0,3; by default around yours")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="print every point, not only the Pareto front")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="set the chosen values in params.yaml")
    ] = False,
) -> None:
    """Measure what K, steps and guidance give and cost, and choose for a budget.

    It draws pictures of the validation categories, and judges by them alone. It writes
    artifacts/tuning.
    """
    from components.config import changing
    from components.paths import TUNING
    from components.progress import note
    from components.tuning.choice import Budget
    from components.tuning.grid import asked, of
    from components.tuning.tune import tune as measure

    params = config.load()
    most = params.gate.slice_margin if margin is None else margin
    budget = Budget(most, seconds, category_seconds)
    grid = asked(params, counts, steps, guidance)
    note(f"K {of(grid.counts)}; steps {of(grid.steps)}; guidance {of(grid.guidance)}")
    tuned = measure(params, grid, budget)
    Console().print(_table(tuned, every=every))
    print(f"{tuned.why}.")
    print(f"See {TUNING}/pareto.png and {TUNING}/points.csv.")
    listed = ", ".join(f"{name}: {value:g}" for name, value in tuned.values.items())
    if write:
        changing.change(tuned.values)
        print(f"params.yaml now has {listed}. The next `train` chooses λ for it: run `dvc repro`.")
    else:
        print(f"params.yaml is unchanged: `--write` would set {listed}.")


def _table(tuned: Tuned, *, every: bool) -> Table:
    """The points, the fastest first, or those on a front with the one in use and the chosen one."""
    title = f"validation categories; mAP of text alone: {tuned.text.mean:.4f}"
    table = Table(title=title, box=None, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns
    for column in _NUMBERS:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("front", no_wrap=True)
    table.add_column("", no_wrap=True)
    for place, row in enumerate(tuned.points.to_dict("records")):
        said = " ".join(name for name, at in tuned.marks.items() if at == place)
        units = {"s": row["front_seconds"], "kB": row["front_bytes"]}
        front = ", ".join(unit for unit, holds in units.items() if holds)
        if every or said or front:
            table.add_row(*_cells(row), front, Text(said, style="bold"))
    return table


def _cells(row: Mapping[Hashable, Any]) -> list[str]:
    known = row["low"] == row["low"]
    return [
        str(row["count"]),
        str(row["steps"]),
        f"{row['guidance']:g}",
        f"{row['lambda']:.2f}",
        f"{row['map']:.4f}",
        f"{row['low']:.3f}–{row['high']:.3f}" if known else "",
        f"{row['accepted']:.0%}",
        f"{row['query_seconds']:.3g}",
        f"{row['category_seconds']:.3g}",
        f"{row['category_bytes'] / 1000:.1f}",
    ]
