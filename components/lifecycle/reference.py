"""What a version is measured against: the champion, unless that is of another dataset.

A dataset that a person exchanged for another one, by `dataset.adapter` or `dataset.source`, starts
a new lineage. Its categories are not the old ones that were lost, and its figures are of another
gallery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from components import manifest
from components.lifecycle import registry

_PARAMS, _ROWS = "lineage/params.yaml", "lineage/dataset.csv"


@dataclass(frozen=True)
class Trained:
    """What a version was trained on: its section `dataset` of params.yaml, and the text of its
    manifest."""

    asked: dict[str, Any]
    rows: str

    def categories(self) -> set[str]:
        """The names of its categories."""
        return set(manifest.kept(self.rows, ("category",), _ROWS)["category"])

    def follows(self, before: Trained, max_lost: float) -> bool:
        """Whether this is a later version of the dataset ``before``, and not another dataset: one
        that was asked for by another adapter or source, and lacks more than the share ``max_lost``
        of the categories of ``before``. A folder that moved stays what it was."""
        if all(self.asked.get(key) == before.asked.get(key) for key in ("adapter", "source")):
            return True
        known = before.categories()
        return len(known - self.categories()) <= max_lost * len(known)


def trained(version: str) -> Trained | None:
    """What a registered version was trained on; nothing for one of an old release, which kept none.
    Raises :class:`EidolonError` when there is no such version."""
    found = registry.registered(version)
    try:
        kept = registry.artifacts(found, _PARAMS, _ROWS)
    except registry.MissingArtifactError:
        return None
    return Trained(yaml.safe_load(kept[_PARAMS])["dataset"], kept[_ROWS])


@dataclass(frozen=True)
class Reference:
    """The champion that a version is measured against, and the text of its dataset's manifest;
    nothing where there is none. ``words`` say so to a person."""

    version: str | None
    rows: str | None
    words: str


def reference(now: Trained | None, max_lost: float) -> Reference:
    """What ``now`` is measured against: the champion, unless it is of another dataset."""
    champion = registry.by_alias(registry.CHAMPION)
    if champion is None:
        return Reference(None, None, "compared with nothing, since there is no champion yet")
    version = str(champion.version)
    before = trained(version)
    if now is None or before is None:
        return Reference(version, None, f"version {version}, the champion, keeps no dataset")
    if now.follows(before, max_lost):
        return Reference(version, before.rows, f"compared with version {version}, the champion")
    adapter, source = (before.asked.get(key) for key in ("adapter", "source"))
    return Reference(
        None,
        None,
        f"compared with nothing, since version {version}, the champion, is of another dataset"
        f" ({adapter}{f', {source}' if source else ''}): this one starts a new lineage",
    )
