"""The verb `capacity`: what a size of gallery and traffic needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from components.cli.models import PANEL

verbs = typer.Typer()


@verbs.command(rich_help_panel=PANEL)
def capacity(
    pictures: Annotated[float, typer.Option(min=1, help="of the gallery, such as 1e8")] = 1e6,
    categories: Annotated[float, typer.Option(min=0, help="that are imagined")] = 1000,
    qps: Annotated[float, typer.Option(min=0, help="queries a second, at the peak")] = 10,
    training: Annotated[float, typer.Option(min=0, help="pictures to train on")] = 0,
    drawn: Annotated[int, typer.Option(min=1, help="imagined pictures of a category")] = 8,
    per_text: Annotated[int, typer.Option(min=1, help="imagined pictures of a new text")] = 4,
    new: Annotated[
        float, typer.Option(min=0, max=1, help="share of the queries that nobody asked before")
    ] = 0.05,
    picture_bytes: Annotated[
        float, typer.Option(min=1, help="bytes of a picture's file, on average")
    ] = 200_000,
    epochs: Annotated[int, typer.Option(min=1, help="of training")] = 20,
    versions: Annotated[int, typer.Option(min=1, help="of the model that are kept")] = 5,
    cards: Annotated[int, typer.Option(min=1, help="accelerators for a retraining")] = 1,
    formulas: Annotated[
        bool, typer.Option("--formulas", help="print the formulas and the measured costs too")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print what your sizes need with full-size models: accelerators, cores, memory, disk.

    Each number is a measured cost times a formula (docs/capacity.md).
    """
    from components.capacity.costs import costs
    from components.capacity.needs import Sizes, needs

    sizes = Sizes(
        pictures=pictures,
        categories=categories,
        queries=qps,
        training=training,
        drawn=drawn,
        per_text=per_text,
        new=new,
        picture_bytes=picture_bytes,
        epochs=epochs,
        versions=versions,
        cards=cards,
    )
    found = needs(sizes)
    if as_json:
        print(json.dumps([asdict(need) for need in found], indent=2))
        return
    rows = [(need.what, number(need.value), need.unit, need.formula) for need in found]
    parts = [need.part for need in found]
    shown = [part if part not in parts[:i] else "" for i, part in enumerate(parts)]
    columns = 4 if formulas else 3
    _print(
        ("", "what", "needs", "", "by")[: columns + 1],
        [(part, *row[:columns]) for part, row in zip(shown, rows, strict=True)],
    )
    if formulas:
        known = [(name, f"{c.value:g}", c.unit, c.source) for name, c in costs().items()]
        _print(("cost", "is", "", "measured by"), known)


def _print(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in ("needs", "is") else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def number(value: float) -> str:
    """A number with two digits that count: the costs have no more."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.2g}"
