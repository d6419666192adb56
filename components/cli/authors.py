"""Verbs for files of the method's authors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from components.authors.choices import Method, TextModel, VisionModel
from components.files import write_json

PANEL = "The authors' files"
verbs = typer.Typer()


@verbs.command(rich_help_panel=PANEL)
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="the authors' aggregator, a .pth")],
    out: Annotated[Path, typer.Argument(help="the .safetensors to write")],
) -> None:
    """Convert an authors' checkpoint to our safetensors, without running any of its code."""
    from components.authors.checkpoint import import_checkpoint as turn

    model = turn(file, out)
    print(f"{out}: aggregator of {model.dim} dimensions, λ = {model.fusion_weight:.4f}")


@verbs.command(rich_help_panel=PANEL)
def evaluate_features(
    root: Annotated[Path, typer.Argument(help="the folder that holds aggregator/")],
    model: Annotated[TextModel, typer.Option(help="the text encoder")] = TextModel.CLIP,
    v_model: Annotated[VisionModel, typer.Option(help="the vision encoder")] = VisionModel.DINO,
    method: Annotated[Method, typer.Option(help="the content of a query")] = Method.CLASS,
    checkpoint: Annotated[
        Path | None, typer.Option(help="an authors' .pth or our .safetensors: adds `aggregated`")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="also write the results there")
    ] = None,
) -> None:
    """Repeat the authors' evaluation on their features: mAP by set and on average."""
    from components.authors.checkpoint import load
    from components.authors.evaluation import evaluate

    aggregator = None if checkpoint is None else load(checkpoint)
    report = evaluate(root, model, v_model, method, aggregator)
    table = Table(title=f"mAP, {model} and {v_model}, queries by {method}", box=SIMPLE_HEAD)
    table.add_column("set")
    for kind in report.average:
        table.add_column(kind, justify="right")
    for name, row in report.sets.items():
        table.add_row(name, *(f"{value:.4f}" for value in row.values()))
    table.add_section()
    table.add_row("average", *(f"{value:.4f}" for value in report.average.values()))
    Console().print(table)
    for name, why in report.skipped.items():
        print(f"skipped {name}: {why}")
    if json_file is not None:
        asked: dict[str, Any] = {"model": model, "v_model": v_model, "method": method}
        if aggregator is not None:
            asked |= {"checkpoint": str(checkpoint), "lambda": aggregator.fusion_weight}
        write_json(json_file, asked | report.as_dict())
