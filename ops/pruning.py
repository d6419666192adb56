"""Frees the disk space that no kept version needs: `eidolon prune`.

Kept are the versions with an alias, those that are deployed, loaded or on trial, and the last few.
What a run in progress uses stays: the newest versions and Bentos are kept, stages hold DVC's lock
while they record what they made, and imagined pictures that were asked for lately stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from components.errors import EidolonError
from components.files import remove_leftovers
from components.lifecycle import registry
from components.pruning import cache, features, pictures, sharing, thumbnails, versions
from components.pruning.garbage import Garbage
from ops import canary, release, swap
from ops.environment import DOWNLOADS
from ops.lock import foreground_run, one_at_a_time
from ops.places import places
from ops.stage import Log

_VERSION = re.compile(r"^eidolon:v([0-9]+)-")


@contextmanager
def alone() -> Iterator[None]:
    """Let no run in the foreground begin, and nothing be registered, promoted or deployed, within
    this block. Raises :class:`EidolonError` while a `make run` is in progress."""
    with foreground_run(), one_at_a_time("deploy"), registry.alone():
        yield


def prune(keep: int, days: float, console: Console, *, yes: bool) -> None:
    """Show what is not needed, by kind, and with ``yes`` remove it. See :func:`look`.

    Raises :class:`EidolonError` also with ``yes`` while a `make run` is in progress.
    """
    with alone() if yes else nullcontext():
        kept, garbage = look(keep, days, console.print)
        total = decimal(sum(one.bytes for one in garbage))
        console.print(f"kept: {named(kept)}")
        if not garbage:
            console.print("nothing else to free")
            return
        console.print(_table(garbage))
        if not yes:
            console.print(f"[bold]eidolon prune --yes[/] frees {total}")
            return
        remove_leftovers(DOWNLOADS)
        for one in garbage:
            with console.status(f"removing {one.kind}"):
                one.remove()
        console.print(f"freed {total}")


def look(keep: int, days: float, log: Log) -> tuple[list[str], list[Garbage]]:
    """The numbers of the versions that are kept, and what is not needed beside them.

    ``keep`` is how many of the last versions are kept in any case; imagined pictures that nothing
    asked for in ``days`` days may go. Raises :class:`EidolonError` for a registry that does not
    know what is deployed, and :class:`TransientError` for one that cannot be reached.
    """
    tags = _tags_in_use()
    used = {match[1] for tag in tags if (match := _VERSION.match(tag))}
    found = versions.sort(keep, used)
    unknown = used - {one.version for one in found.kept}
    live = release.deployed()
    if live is not None and str(live["version"]) in unknown:
        raise EidolonError(
            f"the registry at {registry.tracking_uri()} does not have version {live['version']},"
            " which is deployed: set MLFLOW_TRACKING_URI to the registry that has it"
        )
    garbage = [
        versions.of_others(found),
        versions.of_failed_runs(keep),
        _bentos(tags, [one.version for one in found.kept]),
        sharing.copies(found.kept),
    ]
    for unused, why in (
        (
            cache.unused(found.kept),
            "DVC's cache is outside of this checkout, so it is left: other clones may share it",
        ),
        (
            pictures.unused(found.kept, days),
            "EIDOLON_STORE is set, so imagined pictures are left: other clones may share them",
        ),
        (
            thumbnails.unused(found.kept),
            "EIDOLON_THUMBNAILS is set, so thumbnails are left: other clones may share them",
        ),
        (
            features.unused(found.kept),
            "EIDOLON_FEATURES is set, so features are left: other clones may share them",
        ),
    ):
        if unused is None:
            log(why)
        else:
            garbage.append(unused)
    return [one.version for one in found.kept], [one for one in garbage if one.count]


def named(versions: Sequence[str]) -> str:
    """The kept versions in words."""
    return f"version{'s' * (len(versions) > 1)} {', '.join(versions)}" if versions else "no version"


def _table(garbage: Sequence[Garbage]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("not needed")
    table.add_column("number", justify="right")
    table.add_column("size", justify="right")
    for one in garbage:
        table.add_row(one.kind, f"{one.count:,}", decimal(one.bytes))
    return table


def _tags_in_use() -> set[str]:
    """The Bentos that are deployed, loaded or on trial, and the one before."""
    live, trial = release.deployed() or {}, canary.current() or {}
    held = [place.held or {} for place in places()] if swap.runs() else []
    named = [live.get("bento"), live.get("previous"), trial.get("bento")]
    return {str(tag) for tag in [*named, *(one.get("bento") for one in held)] if tag}


def _bentos(tags: set[str], kept: Sequence[str]) -> Garbage:
    found = release.prune(tags, kept, _unsaid, yes=False)

    def remove() -> None:
        release.prune(tags, kept, _unsaid, yes=True)

    count = len(found["bentos"]) + len(found["models"])
    return Garbage("Bentos, their bundles and models", count, int(found["bytes"]), remove)


def _unsaid(line: str) -> None:
    """Lines that are for nobody: the answer is JSON."""
