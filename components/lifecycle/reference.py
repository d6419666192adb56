"""The version with which a new one is compared: the champion, unless it has another dataset.

A person may replace the dataset by another one, with `dataset.adapter` or `dataset.source`. That
starts a new lineage. The old categories are not lost then, and the metrics are not comparable,
because they belong to another gallery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components import manifest, yaml_text
from components.lifecycle import registry

_PARAMS, _ROWS = "lineage/params.yaml", "lineage/dataset.csv"


@dataclass(frozen=True)
class Trained:
    """The dataset of a version.

    ``section`` is the section `dataset` of its params.yaml, and ``rows`` the text of its manifest.
    """

    section: dict[str, Any]
    rows: str

    def categories(self) -> set[str]:
        """The names of the categories."""
        return set(manifest.kept(self.rows, ("category",), _ROWS)["category"])

    def follows(self, before: Trained, max_lost: float) -> bool:
        """Whether this is a later version of the dataset ``before``, and not another dataset.

        It is another dataset if its adapter or source differs, and it lacks more than the share
        ``max_lost`` of the old categories. So a folder that only moved is still the same dataset.
        """
        if all(self.section.get(key) == before.section.get(key) for key in ("adapter", "source")):
            return True
        known = before.categories()
        return len(known - self.categories()) <= max_lost * len(known)


def trained(version: str) -> Trained | None:
    """The dataset of a registered version, or None for a version of an old release without one.

    Raises :class:`EidolonError` when there is no such version.
    """
    found = registry.registered(version)
    try:
        kept = registry.artifacts(found, _PARAMS, _ROWS)
    except registry.MissingArtifactError:
        return None
    return Trained(yaml_text.parsed(kept[_PARAMS])["dataset"], kept[_ROWS])


@dataclass(frozen=True)
class Reference:
    """The version with which a new one is compared.

    ``version`` is that version, such as the champion, and ``rows`` the text of its dataset's
    manifest. They are None if there is none to compare with. ``sentence`` says what the comparison
    is with.
    """

    version: str | None
    rows: str | None
    sentence: str


def reference(now: Trained | None, max_lost: float, alias: str = registry.CHAMPION) -> Reference:
    """The version with which the dataset ``now`` is compared.

    This is the one that ``alias`` names, unless it has another dataset (:meth:`Trained.follows`).
    Raises :class:`TransientError` when the registry cannot be reached.
    """
    version = registry.version_of(alias)
    if version is None:
        return Reference(None, None, f"compared with nothing, since there is no {alias}")
    before = trained(version)
    if now is None or before is None:
        return Reference(version, None, f"version {version}, the {alias}, has no dataset stored")
    if now.follows(before, max_lost):
        return Reference(version, before.rows, f"compared with version {version}, the {alias}")
    adapter, source = (before.section.get(key) for key in ("adapter", "source"))
    return Reference(
        None,
        None,
        f"compared with nothing, since version {version}, the {alias}, is of another dataset"
        f" ({adapter}{f', {source}' if source else ''}): this one starts a new lineage",
    )
