"""Verbs for models: choosing and promoting them, and tracing an answer."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import config

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


@verbs.command(rich_help_panel=PANEL)
def promote(
    version: Annotated[str, typer.Argument(help="a version of the model `eidolon`")],
) -> None:
    """Make a registered version the champion. With an older version, this rolls back."""
    from components.lifecycle import registry

    registry.promote_by_hand(version)
    print(f"version {version} is now the champion")
