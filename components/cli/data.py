"""Verbs for data: ingesting, inspecting, versioning and restoring it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from components import config
from components.errors import EidolonError

PANEL = "Data"
verbs = typer.Typer()


@verbs.command(rich_help_panel=PANEL)
def inspect() -> None:
    """Check the dataset as a whole, and compare it with the champion's."""
    from components.lifecycle.admission import admit
    from components.paths import INSPECTION

    report, compared = admit(config.load())
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    print(
        f"inspect: {report['categories']} categories, {report['pictures']} pictures, {compared}:"
        f" see {INSPECTION}/index.html"
    )


@verbs.command(rich_help_panel=PANEL)
def thresholds(
    cut: Annotated[
        float, typer.Option(min=0, max=0.5, help="share of the pictures that a bound may reject")
    ] = 0.005,
    out: Annotated[Path, typer.Option(help="the plot to write")] = Path("reports/thresholds.png"),
) -> None:
    """Plot what the limits of `validate` and `inspect` reject, to set the limits from data."""
    from components.validation import thresholds as stage

    found = stage.distributions(config.load())
    stage.plot(found, out)
    table = Table(title=f"limits of validate and inspect; the last column rejects {cut:.2%}")
    table.add_column("measure", no_wrap=True)
    for column in ("limit", "pictures rejected", "wrong ones rejected", "limit for that share"):
        table.add_column(column)
    for item in found:
        bounds = (_bounds(item.limit.low, item.limit.high), _bounds(*item.cutting(cut)))
        wrong = f"{item.beyond(item.wrong):.2%}" if item.wrong.size else ""
        cuts = f"{item.beyond(item.pictures):.2%}"
        table.add_row(item.limit.column, bounds[0], cuts, wrong, bounds[1])
    Console().print(table)
    print(f"thresholds: see {out}")


def _bounds(low: float | None, high: float | None) -> str:
    """Bounds with exactly the digits to write into params.yaml."""
    return f"{'' if low is None else f'{low:.12g}'} … {'' if high is None else f'{high:.12g}'}"


@verbs.command(rich_help_panel=PANEL)
def ingest(
    source: Annotated[
        Path, typer.Argument(help="a folder of categories, a zip or tar, or a list (.csv, .txt)")
    ],
    keep_near: Annotated[
        bool, typer.Option("--keep-near", help="also add near-duplicates of known pictures")
    ] = False,
) -> None:
    """Check new pictures, and add those that pass to the dataset, as a new version of it."""
    from components.collection import versions
    from components.collection.ingest import ingest as add

    params = config.load().ingest
    versions.prepare(print)
    outcome = add(source, params, keep_near=keep_near)
    if outcome.unfit:
        raise EidolonError(f"nothing in {source} can be added: {outcome.sentence()}")
    print(f"ingest: {outcome.sentence()}")
    saved = versions.save_collection(print)
    if not outcome.added:
        print("nothing new: the dataset stays as it is")
    if saved is not None:
        print(f"version {saved.hash} of the collection: {saved.pictures} pictures ingested so far,")
        print(
            f"{saved.added} of them not yet announced: the DAG `ingest` announces them within 15"
            " minutes of `make up`"
        )


@verbs.command(rich_help_panel=PANEL)
def prune(
    keep: Annotated[int, typer.Option(min=1, help="how many of the last versions are kept")] = 3,
    days: Annotated[
        float, typer.Option(min=0, help="imagined pictures that were asked for since then are kept")
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="free it, not only show what it is")] = False,
) -> None:
    """Show the disk space that no kept version needs, and free it. Versions with an alias, and
    those that are deployed, are kept too."""
    _operate("prune", "--keep", str(keep), "--days", str(days), *(["--yes"] if yes else []))


@verbs.command(rich_help_panel=PANEL)
def remove(
    ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID…", help="ids of hits, SHA-256s of files, or paths in collection/pictures"
        ),
    ],
    reason: Annotated[
        str, typer.Option(help="why; it is shown if the same picture comes again")
    ] = "",
    version: Annotated[
        str | None, typer.Option(help="the version that the ids are of, if not the data here")
    ] = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="remove the copies too that no live version needs")
    ] = False,
) -> None:
    """Remove pictures for good, refuse them from now on, and say what still has them."""
    of = [] if version is None else ["--version", version]
    flags = [*of, *(["--purge"] if purge else [])]
    _operate("remove", "--reason", reason, *flags, "--", *ids)


def _operate(*arguments: str) -> None:
    """Run a verb of `python -m ops`: the command line and the operating side do not import each
    other."""
    done = subprocess.run([sys.executable, "-m", "ops", *arguments], check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


versions = typer.Typer(help="Versions of the dataset.", no_args_is_help=True)
verbs.add_typer(versions, name="data", rich_help_panel=PANEL)


@versions.command()
def log() -> None:
    """List the versions that registered models were trained on."""
    from components.lifecycle import registry

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))  # 80 columns
    for column in (
        "version",
        "alias",
        "registered",
        "dataset",
        "collection",
        "pictures",
        "categories",
        "code",
    ):
        table.add_column(column, no_wrap=True)
    for version in registry.versions():
        tags = version.tags
        table.add_row(
            version.version,
            "\n".join(version.aliases),
            f"{version.created:%Y-%m-%d}",
            tags.get("dataset", "")[:10],
            tags.get("collection", "")[:10],
            tags.get("pictures", ""),
            tags.get("categories", ""),
            tags.get("commit", "")[:7] + ("+" if tags.get("dirty") == "true" else ""),
        )
    Console().print(table)


@versions.command()
def diff(
    a: Annotated[str, typer.Argument(help="a registered version, its alias, or `working`")],
    b: Annotated[
        str, typer.Argument(help="a registered version, its alias, or `working`")
    ] = "working",
) -> None:
    """Show the differences between the datasets of A and B."""
    from components.lifecycle.differences import diff as compare

    for line in compare(a, b).lines():
        print(line)


@versions.command()
def restore(
    version: Annotated[str, typer.Argument(help="a registered version, or its alias")],
    force: Annotated[bool, typer.Option(help="even if unversioned changes are lost")] = False,
) -> None:
    """Restore the dataset and the collection that a version was trained on."""
    from components.lifecycle.restore import restore as from_lineage

    print(f"data/dataset is {from_lineage(version, print, force=force)}, that of version {version}")
