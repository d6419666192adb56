"""Versions whose bundle was removed to free disk space. Their records stay: figures, verdict,
lineage, history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from components.errors import EidolonError
from components.paths import BUNDLE, INSPECTION, VALIDATION

PRUNED = "pruned"
"""The tag of such a version: the date. It is set before anything is removed."""

HEAVY: Mapping[str, Path] = {
    "bundle": BUNDLE,
    "validation": VALIDATION,
    "inspection": INSPECTION,
}
"""The artifacts that a pruned version loses, and where they lie here while the version is the one
that was just trained."""

LINEAGE = "bundle/bundle.json"
"""What stays of these: answers and versions are traced by it."""


def check(version: str, tags: Mapping[str, str]) -> None:
    """Raise :class:`EidolonError` when ``version``, which has these ``tags``, was pruned."""
    if PRUNED in tags:
        raise EidolonError(
            f"version {version} was pruned on {tags[PRUNED]}, and its bundle is gone: to train it"
            f" again, check out its commit ({tags.get('commit', 'unknown')[:10]}), then run"
            f" `eidolon data restore {version}` and `make run`; or name another version"
        )
