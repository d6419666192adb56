"""Verbs for models: choosing, promoting and rolling back, and tracing an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import config

if TYPE_CHECKING:
    from components.lifecycle.history import Move

PANEL = "Models"
verbs = typer.Typer()


@verbs.command(rich_help_panel=PANEL)
def lineage(
    subject: Annotated[
        str,
        typer.Argument(
            help="a version or its alias, a file with an answer of POST /search, or - for stdin"
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Trace an answer or a version back to its run, data, models, prompts, seeds and code."""
    from components.lifecycle.lineage import tables, trace

    found = trace(subject)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for table in tables(found):
        Console().print(table)


@verbs.command(rich_help_panel=PANEL)
def use(
    profile: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml")],
    force: Annotated[bool, typer.Option(help="even if edits of params.yaml are lost")] = False,
) -> None:
    """Write the values of a profile to params.yaml."""
    from components.config import profiles
    from components.versioning import git

    committed = git.committed(config.PARAMS)
    chosen = profiles.use(profile, committed=committed, force=force)
    print(f"params.yaml is now the profile {chosen.profile}")


@verbs.command(rich_help_panel=PANEL)
def params(
    changed: Annotated[
        bool, typer.Option("--changed", help="only what differs from the profile in use")
    ] = False,
) -> None:
    """List the parameters: the value of each here, and what it means."""
    from components.config import listing, profiles
    from components.config.params import read

    config.load()  # raises for a wrong value
    here = read(config.PARAMS)
    shown = profiles.changed(here) if changed else listing.entries()
    if not shown:
        print(f"params.yaml is the profile {here['profile']} as it is")
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("parameter", no_wrap=True)
    table.add_column("value", overflow="fold", max_width=24)
    table.add_column("meaning")
    for entry in shown:
        value = listing.shown(entry.value_in(here))
        table.add_row(entry.name, Text(value), Text(entry.description))
    Console().print(table)


Reason = Annotated[str, typer.Option(help="why; it is kept in the history")]
Deploy = Annotated[
    bool, typer.Option(help="whether to bring it to the endpoint now, and not when Airflow does")
]


@verbs.command(rich_help_panel=PANEL)
def promote(
    version: Annotated[str, typer.Argument(help="a version of the model `eidolon`")],
    reason: Reason = "",
    deploy: Deploy = True,
) -> None:
    """Make a registered version the champion, and serve it. One that did not pass the gate needs a
    reason."""
    from components.lifecycle import promotion

    _tell(promotion.promote_by_hand(version, reason), deploy)


@verbs.command(rich_help_panel=PANEL)
def rollback(
    to: Annotated[
        str | None, typer.Option(help="a version; by default the champion before this one")
    ] = None,
    reason: Reason = "",
    deploy: Deploy = True,
) -> None:
    """Make an earlier version the champion again, and serve it."""
    from components.lifecycle import promotion

    _tell(promotion.roll_back(to, reason), deploy)


@verbs.command(rich_help_panel=PANEL)
def deploy() -> None:
    """Bring the champion to the endpoint, if it is not there: to repair, or after `--no-deploy`."""
    _deploy()


@verbs.command(rich_help_panel=PANEL)
def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many, the latest first")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List who was live when, why, and who decided it."""
    from components.lifecycle import history

    moves = history.moves(limit)
    if as_json:
        print(json.dumps([asdict(move) for move in moves], indent=2, default=str))
        return
    if not moves:
        print("no version has been the champion yet")
        return
    table = Table(box=SIMPLE_HEAD)
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("what")
    for move in moves:
        versions = " → ".join(filter(None, [move.before, move.version or "none"]))
        told = Text(f"{move.how} {versions}, by {move.by}\n", style="bold")
        table.add_row(f"{move.time:%Y-%m-%d %H:%M:%S}", told.append(move.reason, style="not bold"))
    Console().print(table)


def _tell(move: Move, deploy: bool) -> None:
    before = f", in place of version {move.before}" if move.before else ""
    print(f"version {move.version} is now the champion{before}", flush=True)
    if deploy:
        _deploy("--version", move.version)


def _deploy(*arguments: str) -> None:
    """Deploy by `python -m ops`: the command line and the operating side do not import each
    other."""
    done = subprocess.run([sys.executable, "-m", "ops", "deploy", *arguments], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
