"""Which versions are kept, and what MLflow keeps of the others.

A version's record is history and always stays: its figures, verdict, lineage and pages of the
evaluation. Its bundle and the pages about its pictures go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from components.lifecycle import artifacts, registry
from components.lifecycle.artifacts import Artifact
from components.lifecycle.pruned import HEAVY, LINEAGE, PRUNED
from components.lifecycle.registry import Registered
from components.pruning.garbage import Garbage


@dataclass(frozen=True)
class Sorted:
    """The versions that are ``kept``, and the ``others``, oldest first."""

    kept: list[Registered]
    others: list[Registered]


def sort(last: int, used: Collection[str]) -> Sorted:
    """Sort all versions: those with an alias, those in ``used``, and the ``last`` ones are kept.

    ``used`` are the numbers of versions that are deployed, loaded or on trial.
    """
    found = registry.versions()
    newest = {one.version for one in found[-last:]}
    kept = [one for one in found if one.aliases or one.version in newest or one.version in used]
    return Sorted(kept, [one for one in found if one not in kept])


@registry.reached()
def of_others(versions: Sorted) -> Garbage:
    """The bundles of the versions that are not kept, and the pages about their pictures."""
    client = registry.client()
    heavy = {
        one.version: [f for f in artifacts.of_run(client, one.run_id, *HEAVY) if f.path != LINEAGE]
        for one in versions.others
    }
    unmarked = [one.version for one in versions.others if PRUNED not in one.tags]

    @registry.reached()
    def remove() -> None:
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        for version, files in heavy.items():
            if files and version in unmarked:
                # first, so that no process that is killed leaves a version that only looks whole
                registry.tag(version, PRUNED, today)
            _remove(files)

    return _garbage("versions in MLflow: bundles and pages", heavy.values(), remove)


@registry.reached()
def of_failed_runs(keep: int) -> Garbage:
    """What runs left that registered no version, except the pages of the ``keep`` latest ones."""
    client = registry.client()
    registered = {one.run_id for one in registry.versions()}
    found = [(run, tags) for run, tags in artifacts.ended(client) if run not in registered]
    shown = [run for run, tags in found if "failed" in tags][:keep]
    left = [artifacts.of_run(client, run) for run, _ in found if run not in shown]

    @registry.reached()
    def remove() -> None:
        for files in left:
            _remove(files)

    return _garbage("runs in MLflow that registered nothing", left, remove)


def _remove(files: Iterable[Artifact]) -> None:
    for file in files:
        file.remove()


def _garbage(
    kind: str, found: Collection[Collection[Artifact]], remove: Callable[[], None]
) -> Garbage:
    total = sum(file.bytes for files in found for file in files)
    return Garbage(kind, sum(bool(files) for files in found), total, remove)
